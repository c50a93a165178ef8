import { randomBytes } from 'node:crypto'
import path from 'node:path'
import type { DataConverter } from '@temporalio/common'
import { Secret } from '#schemas/secret.ts'
import type { OpenBao } from './openbao.ts'
import { createPayloadCodec, type NamespaceKeys } from './payload-codec.ts'
import { unwrap, wrap } from './wrapping.ts'
import { writeOnce } from './write-once.ts'

const wrappingKey = 'namespace-wrap'
const pathOf = (version: number) => ['leasehold', 'data', 'temporal', String(version)]

/**
 * How workers and the relay write to Temporal. The namespace key is loaded once and kept while the process lives, so that
 * workflows go on while OpenBao is down. The first process of an installation makes the key.
 *
 * @throws LeaseholdError `dependency-unavailable`
 */
export async function createDataConverter(bao: OpenBao): Promise<DataConverter> {
  return { payloadCodecs: [createPayloadCodec(await loadKeys(bao))], failureConverterPath: path.join(import.meta.dirname, 'failure-converter.ts') }
}

async function loadKeys(bao: OpenBao): Promise<NamespaceKeys> {
  const keys = new Map<number, Secret<Buffer>>()
  for (let version = 1; ; version += 1) {
    const key = (await readKey(bao, version)) ?? (version === 1 ? await makeFirst(bao) : undefined)
    if (key === undefined) return keys
    keys.set(version, key)
  }
}

async function readKey(bao: OpenBao, version: number): Promise<Secret<Buffer> | undefined> {
  const found = await bao.read<{ data: { wrapped: string } | null }>(pathOf(version))
  return found?.data ? unwrap(bao, wrappingKey, found.data.wrapped) : undefined
}

async function makeFirst(bao: OpenBao): Promise<Secret<Buffer> | undefined> {
  const wrapped = await wrap(bao, wrappingKey, Secret.of(randomBytes(32)))
  // Another worker may be faster: then its key is the one.
  await writeOnce(bao, pathOf(1), { wrapped })
  return readKey(bao, 1)
}

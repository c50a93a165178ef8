import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { Payload, PayloadCodec } from '@temporalio/common'
import proto from '@temporalio/proto'
import type { Secret } from '#schemas/secret.ts'

/** Keys of the Temporal namespace by version; the highest encrypts, all decrypt. */
export type NamespaceKeys = ReadonlyMap<number, Secret<Buffer>>

const encoding = 'binary/encrypted'
const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const isEncrypted = (payload: Payload): boolean => Buffer.from(payload.metadata?.['encoding'] ?? []).toString() === encoding

/**
 * Encrypts every payload that goes to Temporal: AES-256-GCM, nonce(12) || ciphertext || tag(16), AAD = encoding and key id.
 * Decoding needs nothing but the payload, so that replay, reset and continue-as-new work. What is not encrypted is refused.
 */
export function createPayloadCodec(keys: NamespaceKeys): PayloadCodec {
  const newest = Math.max(...keys.keys())
  const newestKey = keyOf(keys, newest)
  return {
    encode: async (payloads) => payloads.map((payload) => encrypt(payload, newest, newestKey)),
    decode: async (payloads) => payloads.map((payload) => decrypt(payload, keys)),
  }
}

function keyOf(keys: NamespaceKeys, version: number): Secret<Buffer> {
  const key = keys.get(version)
  if (key === undefined) throw new Error('a payload names a key that this process does not have')
  return key
}

function encrypt(payload: Payload, version: number, key: Secret<Buffer>): Payload {
  const keyId = `n${version}`
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key.expose(), nonce).setAAD(Buffer.from(`${encoding}|${keyId}`))
  const plain = proto.temporal.api.common.v1.Payload.encode(payload).finish()
  return {
    metadata: { encoding: text(encoding), 'leasehold-key': text(keyId) },
    data: Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]),
  }
}

function decrypt(payload: Payload, keys: NamespaceKeys): Payload {
  if (!isEncrypted(payload)) throw new Error('a payload is not encrypted')
  const keyId = Buffer.from(payload.metadata?.['leasehold-key'] ?? []).toString()
  const data = Buffer.from(payload.data ?? [])
  const decipher = createDecipheriv('aes-256-gcm', keyOf(keys, Number(/^n([1-9]\d*)$/.exec(keyId)?.[1])).expose(), data.subarray(0, 12), { authTagLength: 16 })
    .setAAD(Buffer.from(`${encoding}|${keyId}`))
    .setAuthTag(data.subarray(-16))
  return proto.temporal.api.common.v1.Payload.decode(Buffer.concat([decipher.update(data.subarray(12, -16)), decipher.final()]))
}

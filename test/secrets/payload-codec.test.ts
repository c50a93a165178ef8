import { randomBytes } from 'node:crypto'
import { defaultPayloadConverter, type Payload } from '@temporalio/common'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Secret } from '#schemas/secret.ts'
import { createPayloadCodec, type NamespaceKeys } from '#secrets/payload-codec.ts'

const keys: NamespaceKeys = new Map([1, 2].map((version) => [version, Secret.of(randomBytes(32))]))
const codec = createPayloadCodec(keys)
const payload = (value: unknown): Payload => defaultPayloadConverter.toPayload(value)
const only = <T>([first]: T[]): T => first as T
const bytesOf = ({ metadata, data }: Payload): string => Buffer.concat([...Object.values(metadata ?? {}), data ?? new Uint8Array()]).toString('latin1')
const metadataOf = ({ metadata }: Payload) => Object.fromEntries(Object.entries(metadata ?? {}).map(([name, value]) => [name, Buffer.from(value).toString()]))

describe('a payload for Temporal', () => {
  test('comes back as it was, whatever it is', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(fc.jsonValue(), fc.uint8Array(), fc.constant(undefined)), { maxLength: 5 }), async (values) => {
        const payloads = values.map(payload)
        const decoded = await codec.decode(await codec.encode(payloads))
        expect(decoded.map((each) => defaultPayloadConverter.fromPayload(each))).toEqual(payloads.map((each) => defaultPayloadConverter.fromPayload(each)))
      }),
      { numRuns: 100 },
    )
  })

  test('shows neither its value nor what kind it is, and never looks the same twice', async () => {
    const encoded = await codec.encode([payload({ cause: 'checked_in' }), payload({ cause: 'checked_in' })])
    for (const each of encoded) {
      expect(metadataOf(each)).toEqual({ encoding: 'binary/encrypted', 'leasehold-key': 'n2' })
      expect(bytesOf(each)).not.toMatch(/cause|checked_in|json/)
    }
    expect(encoded[0]?.data).not.toEqual(encoded[1]?.data)
  })

  test('of an older key is still read, by whoever holds that key', async () => {
    const old = await createPayloadCodec(new Map([[1, keys.get(1) as Secret<Buffer>]])).encode([payload('old')])
    expect(defaultPayloadConverter.fromPayload(only(await codec.decode(old)))).toBe('old')
    await expect(createPayloadCodec(new Map([[2, keys.get(2) as Secret<Buffer>]])).decode(old)).rejects.toThrow('key that this process does not have')
  })

  test('that is not encrypted is refused, not passed on', async () => {
    await expect(codec.decode([payload('in clear')])).rejects.toThrow('not encrypted')
    await expect(codec.decode([{}])).rejects.toThrow('not encrypted')
  })

  test('that was changed is refused: its bytes, its length, its key id', async () => {
    const encoded = only(await codec.encode([payload('value')]))
    const data = Buffer.from(encoded.data ?? [])
    for (let index = 0; index < data.length; index += 1) {
      const changed = Buffer.from(data)
      changed[index] = (changed[index] as number) ^ 1
      await expect(codec.decode([{ ...encoded, data: changed }])).rejects.toThrow()
    }
    await expect(codec.decode([{ ...encoded, data: data.subarray(0, 20) }])).rejects.toThrow()
    for (const keyId of ['n1', 'n3', 'n', '', 'constructor']) {
      await expect(codec.decode([{ ...encoded, metadata: { ...encoded.metadata, 'leasehold-key': Buffer.from(keyId) } }])).rejects.toThrow()
    }
  })
})

test('without a key there is no codec', () => {
  expect(() => createPayloadCodec(new Map())).toThrow()
})

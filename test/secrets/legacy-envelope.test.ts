import { describe, expect, test } from 'vitest'
import { openLegacy, readLegacyKey } from '#secrets/legacy-envelope.ts'
import { codeOf, organizationSecret, thrownBy, vaultRef } from './keys.ts'

const asked: number[] = []
const key = await readLegacyKey(
  { create: async () => {}, read: async (_account, _organization, version) => (asked.push(version), organizationSecret) },
  vaultRef.accountId,
  vaultRef.organizationId,
)
const ciphertext = Buffer.from('000102030405060708090a0b87a5901daba1f4ba723f50f62183af6873b33c151a0e0df273d4', 'hex')
const failure = (sealed: Parameters<typeof openLegacy>[1]) => codeOf(thrownBy(() => openLegacy(key, sealed)))

describe('a row from before vault keys', () => {
  test('of version 1 opens with the known answer of another program, from the first organization secret', () => {
    expect(asked).toEqual([1])
    expect(key.material.expose().toString('hex')).toBe('91f8bc25b79016f4876e1a556c9d82a0d90017b1c86782c5a76a48602f8cf74f')
    expect(openLegacy(key, { encryptionVersion: 1, keyId: '', ciphertext }).expose()).toBe('pässwörd')
  })

  test('of version 0 is the value itself', () => {
    expect(openLegacy(key, { encryptionVersion: 0, keyId: '', ciphertext: Buffer.from('pässwörd') }).expose()).toBe('pässwörd')
  })

  test('of version 1 that was changed gives no bytes, nor does one of version 2', () => {
    const changed = Buffer.from(ciphertext)
    changed[20] = (changed[20] as number) ^ 1
    expect(failure({ encryptionVersion: 1, keyId: '', ciphertext: changed })).toBe('decryption-failed')
    expect(failure({ encryptionVersion: 1, keyId: '', ciphertext: ciphertext.subarray(0, 27) })).toBe('decryption-failed')
    expect(failure({ encryptionVersion: 2, keyId: 'o1', ciphertext })).toBe('decryption-failed')
    expect(failure({ encryptionVersion: 0, keyId: '', ciphertext: Buffer.from([0xff, 0xfe]) })).toBe('decryption-failed')
  })
})

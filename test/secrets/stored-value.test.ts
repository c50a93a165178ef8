import { expect, test } from 'vitest'
import type { Sealed } from '#schemas/sealed.ts'
import { Secret } from '#schemas/secret.ts'
import { seal } from '#secrets/envelope.ts'
import { readLegacyKey } from '#secrets/legacy-envelope.ts'
import { openStored } from '#secrets/stored-value.ts'
import { codeOf, identityId, organizationSecret, thrownBy, vaultKey as vault, vaultRef } from './keys.ts'

const legacy = await readLegacyKey({ create: async () => {}, read: async () => organizationSecret }, vaultRef.accountId, vaultRef.organizationId)
const belongsTo = { identityId, version: 1, purpose: 'credential' } as const
const plain: Sealed = { encryptionVersion: 0, keyId: 'legacy', ciphertext: Buffer.from('old') }
const refusal = (...args: Parameters<typeof openStored>) => codeOf(thrownBy(() => openStored(...args)))

test('a stored value opens by its encryption version, and one from before vault keys only where such are open', () => {
  expect(openStored({ vault }, belongsTo, seal(vault, belongsTo, Secret.of('new'))).expose()).toBe('new')
  expect(openStored({ legacy }, belongsTo, plain).expose()).toBe('old')
  expect(refusal({ vault }, belongsTo, plain)).toBe('decryption-failed')
})

test('a value of today that is made to look older opens neither as it was nor as it looks', () => {
  const sealed = seal(vault, belongsTo, Secret.of('new'))
  for (const encryptionVersion of [0, 1] as const) expect(refusal({ vault, legacy }, belongsTo, { ...sealed, encryptionVersion })).toBe('decryption-failed')
  expect(refusal({ vault, legacy }, belongsTo, { ...plain, keyId: 'o3' })).toBe('decryption-failed')
  expect(refusal({ legacy }, belongsTo, sealed)).toBe('decryption-failed')
})

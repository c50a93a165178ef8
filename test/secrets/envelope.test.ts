import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AccountId, IdentityId, OrganizationId, VaultId } from '#schemas/ids.ts'
import type { Sealed } from '#schemas/sealed.ts'
import { Secret } from '#schemas/secret.ts'
import { jobMacKey, open, passwordHash, seal, type SealedFor } from '#secrets/envelope.ts'
import { deriveVaultKey, keyVersionOf, type VaultKey } from '#secrets/vault-keys.ts'
import { codeOf, identityId, organizationSecret, thrownBy, vaultKey, vaultRef } from './keys.ts'

const facts: SealedFor = { identityId, version: 7, purpose: 'credential' }
const other = '0190a0a0-0000-7000-8000-0000000000ff'
const refused = (key: VaultKey, belongsTo: SealedFor, sealed: Sealed) => expect(codeOf(thrownBy(() => open(key, belongsTo, sealed)))).toBe('decryption-failed')

describe('the known answers that another program computed', () => {
  test('the key of a vault', () => {
    expect(vaultKey.material.expose().toString('hex')).toBe('64da044ce0c60e861f883f0040f6a3c86d3477e4e5cca021b949e3a79ba9b95f')
    expect(vaultKey.keyId).toBe('o3')
    expect(keyVersionOf(vaultKey.keyId)).toBe(3)
  })

  test('the layout of a ciphertext and what it is bound to', () => {
    const ciphertext = Buffer.from('000102030405060708090a0bac99f0c06c4bd27a53adeb0313f72e0d8488d76ad487387c19e1', 'hex')
    expect(open(vaultKey, facts, { encryptionVersion: 2, keyId: 'o3', ciphertext }).expose()).toBe('pässwörd')
  })

  test('the hash of an old password', () => {
    expect(passwordHash(vaultKey, Secret.of('correct horse')).toString('hex')).toBe('2d585bad826f42545cc3e1bb8c6aa547582b6ada874ac5e0ccc079126cc08e2a')
  })

  test('the key of a job result', () => {
    const claim = { jobId: '0190a0a0-0000-7000-8000-000000000009', epoch: 2, instance: '0190a0a0-0000-7000-8000-00000000000a' }
    expect(jobMacKey(vaultKey, claim).toString('hex')).toBe('670e12595d106216b05c70f9b0698cdf61e3a2f951b514adecd172ccd476d809')
    expect(jobMacKey(vaultKey, { ...claim, epoch: 3 })).not.toEqual(jobMacKey(vaultKey, claim))
  })
})

describe('a sealed value', () => {
  test('opens to what was sealed, whatever it is', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', maxLength: 2_000 }),
        fc.nat({ max: 1_000_000 }),
        fc.constantFrom('credential', 'reason'),
        (value, version, purpose) => {
          const belongsTo = { identityId, version, purpose } as const
          const sealed = seal(vaultKey, belongsTo, Secret.of(value))
          expect(open(vaultKey, belongsTo, sealed).expose()).toBe(value)
          expect(sealed.ciphertext).toHaveLength(12 + Buffer.byteLength(value) + 16)
        },
      ),
      { numRuns: 200 },
    )
  })

  test('is never the same twice and holds no byte sequence of the value', () => {
    const sealed = Array.from({ length: 2_000 }, () => Buffer.from(seal(vaultKey, facts, Secret.of('the same value')).ciphertext))
    expect(new Set(sealed.map((bytes) => bytes.subarray(0, 12).toString('hex'))).size).toBe(2_000)
    expect(sealed.some((bytes) => bytes.includes('the same'))).toBe(false)
  })

  test.each<[string, VaultKey, SealedFor]>([
    ['another account', { ...vaultKey, accountId: other as AccountId }, facts],
    ['another organization', { ...vaultKey, organizationId: other as OrganizationId }, facts],
    ['another vault', { ...vaultKey, vaultId: other as VaultId }, facts],
    ['another identity', vaultKey, { ...facts, identityId: other as IdentityId }],
    ['another version', vaultKey, { ...facts, version: 8 }],
    ['another purpose', vaultKey, { ...facts, purpose: 'reason' }],
  ])('does not open for %s, even under the same key', (_what, key, belongsTo) => {
    refused(key, belongsTo, seal(vaultKey, facts, Secret.of('value')))
  })

  test('does not open under another key id, even under the same key', () => {
    const sealed = seal(vaultKey, facts, Secret.of('value'))
    refused({ ...vaultKey, keyId: 'o4' }, facts, { ...sealed, keyId: 'o4' })
    refused(vaultKey, facts, { ...sealed, keyId: 'o4' })
  })

  test.each([
    ['another organization secret', Secret.of(Buffer.alloc(32, 9)), vaultRef],
    ['another salt', organizationSecret, { ...vaultRef, vaultSalt: new Uint8Array(32) }],
    ['another vault id', organizationSecret, { ...vaultRef, vaultId: other as VaultId }],
  ])('does not open with the key of %s', (_what, secret, ref) => {
    refused({ ...deriveVaultKey(secret, ref), vaultId: vaultKey.vaultId }, facts, seal(vaultKey, facts, Secret.of('value')))
  })

  test('does not open when any one bit of it was changed', () => {
    const sealed = seal(vaultKey, facts, Secret.of('value'))
    for (let bit = 0; bit < sealed.ciphertext.length * 8; bit += 1) {
      const ciphertext = Buffer.from(sealed.ciphertext)
      ciphertext[bit >> 3] = (ciphertext[bit >> 3] as number) ^ (1 << (bit & 7))
      refused(vaultKey, facts, { ...sealed, ciphertext })
    }
  })

  test('does not open cut short, longer, or marked as a legacy row', () => {
    const sealed = seal(vaultKey, facts, Secret.of('value'))
    for (let length = 0; length < sealed.ciphertext.length; length += 1)
      refused(vaultKey, facts, { ...sealed, ciphertext: sealed.ciphertext.subarray(0, length) })
    refused(vaultKey, facts, { ...sealed, ciphertext: Buffer.concat([sealed.ciphertext, Buffer.alloc(1)]) })
    refused(vaultKey, facts, { ...sealed, encryptionVersion: 0 })
    refused(vaultKey, facts, { ...sealed, encryptionVersion: 1 })
  })
})

test('the history of one vault says nothing about the passwords of another', () => {
  const elsewhere = deriveVaultKey(organizationSecret, { ...vaultRef, vaultId: other as VaultId })
  expect(passwordHash(elsewhere, Secret.of('correct horse'))).not.toEqual(passwordHash(vaultKey, Secret.of('correct horse')))
})

test('a vault key prints no key', () => {
  const printed = JSON.stringify(vaultKey) + inspect(vaultKey, { depth: null, showHidden: true })
  for (const form of ['hex', 'base64', 'base64url'] as const) expect(printed).not.toContain(vaultKey.material.expose().toString(form))
})

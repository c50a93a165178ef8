import { createHmac, hkdfSync } from 'node:crypto'
import { LeaseholdError } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/ids.ts'
import type { Sealed } from '#schemas/sealed.ts'
import type { Secret } from '#schemas/secret.ts'
import { decrypt, encrypt } from './aead.ts'
import type { VaultKey } from './vault-keys.ts'

/** What a ciphertext belongs to; a ciphertext that is moved elsewhere does not open there. */
export interface SealedFor {
  readonly identityId: IdentityId
  /** Version of the credential; 0 for what has no version. */
  readonly version: number
  readonly purpose: 'credential' | 'reason'
}

/** AAD = account|organization|vault|identity|version|purpose|key id (S1). */
export function seal(key: VaultKey, belongsTo: SealedFor, plaintext: Secret<string>): Sealed {
  return { encryptionVersion: 2, keyId: key.keyId, ciphertext: encrypt(key.material, aad(key, belongsTo), plaintext) }
}

/** @throws LeaseholdError `decryption-failed`: never bytes that were not authenticated */
export function open(key: VaultKey, belongsTo: SealedFor, { encryptionVersion, keyId, ciphertext }: Sealed): Secret<string> {
  if (encryptionVersion !== 2 || keyId !== key.keyId) throw new LeaseholdError('decryption-failed')
  return decrypt(key.material, aad(key, belongsTo), ciphertext)
}

const aad = (key: VaultKey, { identityId, version, purpose }: SealedFor): Buffer =>
  Buffer.from([key.accountId, key.organizationId, key.vaultId, identityId, version, purpose, key.keyId].join('|'))

/** Keyed hash of a password for the history: HMAC-SHA-256 with a key of its own, derived per vault. 32 bytes. */
export function passwordHash(key: VaultKey, password: Secret<string>): Buffer {
  return createHmac('sha256', subkey(key, 'leasehold/password-history')).update(password.expose()).digest()
}

/** Key with which a connector proves that a result is of this claim. 32 bytes. */
export function jobMacKey(key: VaultKey, claim: { readonly jobId: string; readonly epoch: number; readonly instance: string }): Buffer {
  return subkey(key, `leasehold/job-mac/${claim.jobId}/${claim.epoch}/${claim.instance}`)
}

const subkey = (key: VaultKey, info: string): Buffer => Buffer.from(hkdfSync('sha256', key.material.expose(), new Uint8Array(), info, 32))

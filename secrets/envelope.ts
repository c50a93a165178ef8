import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto'
import { LeaseholdError } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/ids.ts'
import type { Sealed } from '#schemas/sealed.ts'
import { Secret } from '#schemas/secret.ts'
import type { VaultKey } from './vault-keys.ts'

/** What a ciphertext belongs to; a ciphertext that is moved elsewhere does not open there. */
export interface SealedFor {
  readonly identityId: IdentityId
  /** Version of the credential; 0 for what has no version. */
  readonly version: number
  readonly purpose: 'credential' | 'reason'
}

const nonceLength = 12
const tagLength = 16

/**
 * AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce: nonce || ciphertext || tag.
 * AAD = account|organization|vault|identity|version|purpose|key id (S1).
 */
export function seal(key: VaultKey, belongsTo: SealedFor, plaintext: Secret<string>): Sealed {
  const nonce = randomBytes(nonceLength)
  const cipher = createCipheriv('aes-256-gcm', key.material.expose(), nonce).setAAD(aad(key, belongsTo))
  const ciphertext = Buffer.concat([nonce, cipher.update(plaintext.expose(), 'utf8'), cipher.final(), cipher.getAuthTag()])
  return { encryptionVersion: 2, keyId: key.keyId, ciphertext }
}

/** @throws LeaseholdError `decryption-failed`: never bytes that were not authenticated */
export function open(key: VaultKey, belongsTo: SealedFor, { encryptionVersion, keyId, ciphertext }: Sealed): Secret<string> {
  if (encryptionVersion !== 2 || keyId !== key.keyId || ciphertext.length < nonceLength + tagLength) throw new LeaseholdError('decryption-failed')
  const bytes = Buffer.from(ciphertext)
  try {
    const decipher = createDecipheriv('aes-256-gcm', key.material.expose(), bytes.subarray(0, nonceLength), { authTagLength: tagLength })
      .setAAD(aad(key, belongsTo))
      .setAuthTag(bytes.subarray(-tagLength))
    return Secret.of(decipher.update(bytes.subarray(nonceLength, -tagLength)).toString('utf8') + decipher.final('utf8'))
  } catch {
    throw new LeaseholdError('decryption-failed')
  }
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

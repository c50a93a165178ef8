import { createDecipheriv, hkdfSync } from 'node:crypto'
import { LeaseholdError } from '#schemas/errors.ts'
import type { AccountId, OrganizationId } from '#schemas/ids.ts'
import type { Sealed } from '#schemas/sealed.ts'
import { Secret } from '#schemas/secret.ts'
import type { OrganizationSecrets } from './organization-secret.ts'

/** Key of rows of encryption version 1: one for the whole organization, 32 bytes. */
export interface LegacyKey {
  readonly material: Secret<Buffer>
}

/**
 * HKDF-SHA-256 (RFC 5869) over the first version of the organization secret, empty salt, info "leasehold/v1".
 *
 * @throws LeaseholdError `organization-secret-not-found`, `dependency-unavailable`
 */
export async function readLegacyKey(secrets: OrganizationSecrets, accountId: AccountId, organizationId: OrganizationId): Promise<LegacyKey> {
  const first = await secrets.read(accountId, organizationId, 1)
  return { material: Secret.of(Buffer.from(hkdfSync('sha256', first.expose(), new Uint8Array(), 'leasehold/v1', 32))) }
}

/**
 * Reads a row that was imported from before vault keys (S2): version 0 is the UTF-8 value itself, version 1 AES-256-GCM
 * without AAD, nonce(12) || ciphertext || tag(16). Only while the organization is open for such rows, which the caller has
 * checked; the caller seals the value anew in the same request.
 *
 * @throws LeaseholdError `decryption-failed` for any other version and for bytes that were not authenticated
 */
export function openLegacy(key: LegacyKey, { encryptionVersion, ciphertext }: Sealed): Secret<string> {
  try {
    if (encryptionVersion === 0) return Secret.of(utf8(ciphertext))
    if (encryptionVersion === 1 && ciphertext.length >= 28) return Secret.of(utf8(decrypt(key, Buffer.from(ciphertext))))
  } catch {
    // The reason could hold bytes of the value.
  }
  throw new LeaseholdError('decryption-failed')
}

function decrypt(key: LegacyKey, bytes: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key.material.expose(), bytes.subarray(0, 12), { authTagLength: 16 }).setAuthTag(bytes.subarray(-16))
  return Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()])
}

const utf8 = (bytes: Uint8Array): string => new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)

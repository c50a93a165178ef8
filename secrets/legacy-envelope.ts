import { createDecipheriv, hkdfSync } from 'node:crypto'
import { LeaseholdError } from '#schemas/errors.ts'
import type { Sealed } from '#schemas/sealed.ts'
import { Secret } from '#schemas/secret.ts'

/**
 * Reads a row of an older installation: version 0 is UTF-8 plaintext; version 1 is AES-256-GCM, nonce(12) || ciphertext || tag(16),
 * without AAD, under HKDF-SHA-256(first organization secret, empty salt, "leasehold/v1").
 *
 * @throws LeaseholdError `decryption-failed`
 */
export function openLegacy(firstOrganizationSecret: Secret<Buffer>, { encryptionVersion, ciphertext }: Sealed): Secret<string> {
  const bytes = Buffer.from(ciphertext)
  try {
    if (encryptionVersion === 0) return Secret.of(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    if (encryptionVersion !== 1 || bytes.length < 28) throw new LeaseholdError('decryption-failed')
    const key = Buffer.from(hkdfSync('sha256', firstOrganizationSecret.expose(), new Uint8Array(), 'leasehold/v1', 32))
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12), { authTagLength: 16 }).setAuthTag(bytes.subarray(-16))
    return Secret.of(decipher.update(bytes.subarray(12, -16)).toString('utf8') + decipher.final('utf8'))
  } catch {
    throw new LeaseholdError('decryption-failed')
  }
}

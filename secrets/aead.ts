import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { LeaseholdError } from '#schemas/errors.ts'
import { Secret } from '#schemas/secret.ts'

const nonceLength = 12
const tagLength = 16

/** AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce: nonce || ciphertext || tag. @param key 32 bytes */
export function encrypt(key: Secret<Buffer>, aad: Buffer, plaintext: Secret<string>): Buffer {
  const nonce = randomBytes(nonceLength)
  const cipher = createCipheriv('aes-256-gcm', key.expose(), nonce).setAAD(aad)
  return Buffer.concat([nonce, cipher.update(plaintext.expose(), 'utf8'), cipher.final(), cipher.getAuthTag()])
}

/** @throws LeaseholdError `decryption-failed`: never bytes that were not authenticated */
export function decrypt(key: Secret<Buffer>, aad: Buffer, ciphertext: Uint8Array): Secret<string> {
  if (ciphertext.length < nonceLength + tagLength) throw new LeaseholdError('decryption-failed')
  const bytes = Buffer.from(ciphertext)
  try {
    const decipher = createDecipheriv('aes-256-gcm', key.expose(), bytes.subarray(0, nonceLength), { authTagLength: tagLength })
      .setAAD(aad)
      .setAuthTag(bytes.subarray(-tagLength))
    return Secret.of(decipher.update(bytes.subarray(nonceLength, -tagLength)).toString('utf8') + decipher.final('utf8'))
  } catch {
    throw new LeaseholdError('decryption-failed')
  }
}

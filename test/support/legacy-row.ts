import { createCipheriv, hkdfSync, randomBytes } from 'node:crypto'
import type { Secret } from '#schemas/secret.ts'

/** A value as another program stored it before vault keys, in base64: nonce || ciphertext || tag under HKDF of the first secret. */
export function legacyVersion1(firstSecret: Secret<Buffer>, value: string): string {
  const key = Buffer.from(hkdfSync('sha256', firstSecret.expose(), '', 'leasehold/v1', 32))
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  return Buffer.concat([nonce, cipher.update(value, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString('base64')
}

/** Version 0: the value itself. */
export const legacyVersion0 = (value: string): string => Buffer.from(value).toString('base64')

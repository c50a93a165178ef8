import { randomBytes } from 'node:crypto'
import type { StoredValue } from '#store/credential.ts'

/** A value as the store sees it: sealed under version 1 of the organization secret. Nothing opens it. */
export const storedValue = (): StoredValue => ({ sealed: { encryptionVersion: 2, keyId: 'o1', ciphertext: randomBytes(48) }, hash: randomBytes(32) })

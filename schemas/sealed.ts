/** Key id of every row of encryption version 0 and 1. One that names a key of ours was turned back, not imported. */
export const legacyKeyId = 'legacy'

/** A ciphertext as PostgreSQL stores it: what it was sealed with, never what it holds. */
export interface Sealed {
  /** 0: legacy plaintext, 1: legacy key of the whole organization, 2: key of the vault. */
  readonly encryptionVersion: 0 | 1 | 2
  /** Names the key version, e.g. `o3`: organization secret version 3. `legacy`: a row of version 0 or 1 as it was imported. */
  readonly keyId: string
  /** Version 2: nonce (12 bytes) || ciphertext || tag (16 bytes). */
  readonly ciphertext: Uint8Array
}

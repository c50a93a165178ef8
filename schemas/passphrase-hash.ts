/** A passphrase as it is stored: Argon2id (RFC 9106) and the parameters that it was made with. */
export interface PassphraseHash {
  /** 16 random bytes. */
  readonly salt: Uint8Array
  /** 32 bytes. */
  readonly tag: Uint8Array
  readonly memoryKib: number
  readonly passes: number
  readonly lanes: number
}

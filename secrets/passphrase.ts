import { argon2, randomBytes, timingSafeEqual, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import type { PassphraseHash } from '#schemas/passphrase-hash.ts'
import type { Secret } from '#schemas/secret.ts'
import { createGate } from '#store/gate.ts'
import { LeaseholdError } from '#schemas/errors.ts'

const derive = promisify(argon2)

/** RFC 9106 section 4, the second recommended option: 64 MiB, 3 passes, 4 lanes. */
const recommended: Cost = { memoryKib: 65_536, passes: 3, lanes: 4 }
const saltLength = 16
const tagLength = 32

/** Hashes take memory and the threads of the process, so few of them run at once and the others wait in order. */
const atOnce = 2
const longestWait = 5_000
const gate = createGate(atOnce, longestWait, () => new LeaseholdError('busy', { retryAfterSeconds: 1 }))

type Cost = Pick<PassphraseHash, 'memoryKib' | 'passes' | 'lanes'>

export interface Passphrases {
  hash(passphrase: Secret<string>): Promise<PassphraseHash>
  /** Whether it is the one that was hashed; compared in constant time. */
  verify(passphrase: Secret<string>, hash: PassphraseHash): Promise<boolean>
}

/**
 * Argon2id (RFC 9106) with a key besides: whoever has only the database has nothing to guess against.
 *
 * @param key the same in every process; 32 bytes
 * @param cost of new hashes; those that are there keep what they were made with
 */
export function createPassphrases(key: KeyObject, cost: Cost = recommended): Passphrases {
  async function tagOf(passphrase: Secret<string>, { salt, memoryKib, passes, lanes }: Omit<PassphraseHash, 'tag'>): Promise<Buffer> {
    await gate.enter()
    try {
      return await derive('argon2id', {
        // The same text in another composition of its characters is the same passphrase (NIST SP 800-63B-4 section 3.1.1.2).
        message: passphrase.expose().normalize('NFKC'),
        nonce: salt,
        secret: key.export(),
        parallelism: lanes,
        memory: memoryKib,
        passes,
        tagLength,
      })
    } finally {
      gate.leave()
    }
  }
  return {
    hash: async (passphrase) => {
      const made = { ...cost, salt: randomBytes(saltLength) }
      return { ...made, tag: await tagOf(passphrase, made) }
    },
    verify: async (passphrase, hash) => timingSafeEqual(await tagOf(passphrase, hash), hash.tag),
  }
}

import { hkdfSync, randomBytes } from 'node:crypto'
import { LeaseholdError } from '#schemas/errors.ts'
import type { AccountId } from '#schemas/ids.ts'
import type { Sealed } from '#schemas/sealed.ts'
import { Secret } from '#schemas/secret.ts'
import { decrypt, encrypt } from './aead.ts'
import { createKeyCache, type CacheLimits } from './key-cache.ts'
import type { OpenBao } from './openbao.ts'
import { unwrap, wrap } from './wrapping.ts'
import { writeOnce } from './write-once.ts'

/** The key of what belongs to an account and to no vault of it. */
export interface AccountKey {
  /** `a<version>`; every ciphertext names it. */
  readonly keyId: string
  readonly accountId: AccountId
  /** 32 bytes. */
  readonly material: Secret<Buffer>
}

export interface AccountKeys {
  /** @throws LeaseholdError `not-found` (the account has none yet), `dependency-unavailable` when it is not cached and OpenBao is down */
  get(accountId: AccountId): Promise<AccountKey>
  /** The same, for whoever seals the first value of an account: makes the secret in OpenBao when there is none. */
  ensure(accountId: AccountId): Promise<AccountKey>
}

/** What a ciphertext belongs to; one that is moved elsewhere does not open there. */
export interface BelongsTo {
  readonly purpose: 'channel' | 'support-access' | 'break-glass-totp' | 'rotation-campaign' | 'recertification'
  readonly id: string
}

const wrappingKey = 'org-wrap'
const version = 1
const keyId = `a${version}`

/**
 * Account keys, cached in memory as vault keys are. HKDF-SHA-256 (RFC 5869) over the account's secret of 32 random bytes, salt =
 * account id, info = "leasehold/account/" + key id.
 */
export function createAccountKeys(bao: OpenBao, limits?: Partial<CacheLimits>): AccountKeys {
  const cached = createKeyCache<AccountKey>(limits)
  const pathOf = (accountId: AccountId) => ['leasehold', 'data', 'accounts', accountId, String(version)]

  async function find(accountId: AccountId): Promise<AccountKey | undefined> {
    const found = await bao.read<{ data: { wrapped: string } | null }>(pathOf(accountId))
    if (!found?.data) return undefined
    const secret = await unwrap(bao, wrappingKey, found.data.wrapped)
    const material = Buffer.from(hkdfSync('sha256', secret.expose(), accountId, `leasehold/account/${keyId}`, 32))
    return { keyId, accountId, material: Secret.of(material) }
  }

  async function fetch(accountId: AccountId): Promise<AccountKey> {
    const key = await find(accountId)
    if (key === undefined) throw new LeaseholdError('not-found')
    return key
  }

  return {
    get: (accountId) => cached(accountId, () => fetch(accountId)),
    ensure: (accountId) =>
      cached(accountId, async () => {
        const there = await find(accountId)
        if (there !== undefined) return there
        await writeOnce(bao, pathOf(accountId), { wrapped: await wrap(bao, wrappingKey, Secret.of(randomBytes(32))) })
        return fetch(accountId)
      }),
  }
}

const aad = (key: AccountKey, { purpose, id }: BelongsTo): Buffer => Buffer.from([key.accountId, purpose, id, key.keyId].join('|'))

/** AAD = account|purpose|id|key id. */
export const sealForAccount = (key: AccountKey, belongsTo: BelongsTo, plaintext: Secret<string>): Sealed => ({
  encryptionVersion: 2,
  keyId: key.keyId,
  ciphertext: encrypt(key.material, aad(key, belongsTo), plaintext),
})

/** @throws LeaseholdError `decryption-failed`: never bytes that were not authenticated */
export function openForAccount(key: AccountKey, belongsTo: BelongsTo, sealed: Sealed): Secret<string> {
  if (sealed.encryptionVersion !== 2 || sealed.keyId !== key.keyId) throw new LeaseholdError('decryption-failed')
  return decrypt(key.material, aad(key, belongsTo), sealed.ciphertext)
}

import { hkdfSync } from 'node:crypto'
import type { AccountId, OrganizationId, VaultId } from '#schemas/ids.ts'
import { Secret } from '#schemas/secret.ts'
import type { VaultKeyRef } from '#schemas/vault-key-ref.ts'
import type { OrganizationSecrets } from './organization-secret.ts'

/** The key of one vault under one version of its organization's secret. */
export interface VaultKey {
  /** `o<version of the organization secret>`; every ciphertext names it. */
  readonly keyId: string
  readonly accountId: AccountId
  readonly organizationId: OrganizationId
  readonly vaultId: VaultId
  /** 32 bytes. */
  readonly material: Secret<Buffer>
}

export interface VaultKeys {
  /** @throws LeaseholdError `organization-secret-not-found`, `dependency-unavailable` when it is not cached and OpenBao is down */
  get(ref: VaultKeyRef): Promise<VaultKey>
}

export const keyIdOf = (version: number): string => `o${version}`

/** @throws TypeError when it names no version of an organization secret */
export function keyVersionOf(keyId: string): number {
  const version = /^o([1-9]\d{0,8})$/.exec(keyId)?.[1]
  if (version === undefined) throw new TypeError('not a key id of an organization secret')
  return Number(version)
}

/**
 * Vault key v2 (S1): HKDF-SHA-256 (RFC 5869) over the organization secret, salt = salt of the vault,
 * info = "leasehold/v2/" + vault id + key id, 32 bytes.
 */
export function deriveVaultKey(secret: Secret<Buffer>, { vaultId, vaultSalt, keyVersion, accountId, organizationId }: VaultKeyRef): VaultKey {
  const keyId = keyIdOf(keyVersion)
  const material = Buffer.from(hkdfSync('sha256', secret.expose(), vaultSalt, `leasehold/v2/${vaultId}${keyId}`, 32))
  return { keyId, accountId, organizationId, vaultId, material: Secret.of(material) }
}

interface Cached { readonly key: VaultKey; readonly since: number }

/** After `refresh` ms a key is fetched again; while OpenBao is down the old one goes on until `hardStop`. */
export interface CacheLimits { readonly refresh: number; readonly hardStop: number; readonly size: number }
const defaults: CacheLimits = { refresh: 300_000, hardStop: 900_000, size: 10_000 }

/**
 * Keys in memory, so that checkouts go on through a short outage of OpenBao. Each is fetched once however many ask.
 *
 * @param clock ms, monotonic
 */
export function createVaultKeys(secrets: OrganizationSecrets, limits: CacheLimits = defaults, clock: () => number = () => performance.now()): VaultKeys {
  const cached = new Map<string, Cached>()
  const fetching = new Map<string, Promise<VaultKey>>()

  async function fetchKey(ref: VaultKeyRef, name: string): Promise<VaultKey> {
    const key = deriveVaultKey(await secrets.read(ref.accountId, ref.organizationId, ref.keyVersion), ref)
    cached.delete(name)
    cached.set(name, { key, since: clock() })
    const oldest = cached.keys().next().value
    if (cached.size > limits.size && oldest !== undefined) cached.delete(oldest)
    return key
  }

  function refresh(ref: VaultKeyRef, name: string): Promise<VaultKey> {
    const running = fetching.get(name)
    if (running !== undefined) return running
    const fetched = fetchKey(ref, name).finally(() => fetching.delete(name))
    fetching.set(name, fetched)
    return fetched
  }

  return {
    async get(ref) {
      const name = `${ref.accountId}/${ref.organizationId}/${ref.vaultId}/${ref.keyVersion}`
      const hit = cached.get(name)
      const age = hit === undefined ? Number.POSITIVE_INFINITY : clock() - hit.since
      if (hit === undefined || age >= limits.hardStop) {
        cached.delete(name)
        return refresh(ref, name)
      }
      // Nobody waits for the refresh; when it fails the key in hand is still good.
      if (age >= limits.refresh) refresh(ref, name).catch(() => {})
      return hit.key
    },
  }
}

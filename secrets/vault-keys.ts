import { hkdfSync } from 'node:crypto'
import type { AccountId, OrganizationId, VaultId } from '#schemas/ids.ts'
import { Secret } from '#schemas/secret.ts'
import type { VaultKeyRef } from '#schemas/vault-key-ref.ts'
import { createKeyCache, type CacheLimits } from './key-cache.ts'
import { readLegacyKey, type LegacyKey } from './legacy-envelope.ts'
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
  /** The key of an organization's rows from before vault keys. @throws as `get` */
  legacy(accountId: AccountId, organizationId: OrganizationId): Promise<LegacyKey>
}

export const keyIdOf = (version: number): string => `o${version}`

/** @returns undefined: it is no key id of an organization secret */
export function findKeyVersion(keyId: string): number | undefined {
  const version = /^o([1-9]\d{0,8})$/.exec(keyId)?.[1]
  return version === undefined ? undefined : Number(version)
}

/** @throws TypeError when it names no version of an organization secret */
export function keyVersionOf(keyId: string): number {
  const version = findKeyVersion(keyId)
  if (version === undefined) throw new TypeError('not a key id of an organization secret')
  return version
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

/**
 * Vault keys, cached in memory: refreshed at 5 min, gone at 15 min.
 *
 * @param limits other limits than those
 * @param clock ms, monotonic
 */
export function createVaultKeys(secrets: OrganizationSecrets, limits?: Partial<CacheLimits>, clock?: () => number): VaultKeys {
  const cached = createKeyCache<VaultKey>(limits, clock)
  const cachedLegacy = createKeyCache<LegacyKey>(limits, clock)
  return {
    get: (ref) =>
      cached(`${ref.accountId}/${ref.organizationId}/${ref.vaultId}/${ref.keyVersion}`, async () =>
        deriveVaultKey(await secrets.read(ref.accountId, ref.organizationId, ref.keyVersion), ref),
      ),
    legacy: (accountId, organizationId) => cachedLegacy(`${accountId}/${organizationId}`, () => readLegacyKey(secrets, accountId, organizationId)),
  }
}

import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/ids.ts'
import type { Sealed } from '#schemas/sealed.ts'
import { Secret } from '#schemas/secret.ts'
import type { VaultKeyRef } from '#schemas/vault-key-ref.ts'
import { open, seal } from '#secrets/envelope.ts'
import { openStored } from '#secrets/stored-value.ts'
import { keyVersionOf, type VaultKey, type VaultKeys } from '#secrets/vault-keys.ts'
import type { CheckoutFacts } from '#store/checkout-facts.ts'
import type { Transaction } from '#store/connection.ts'
import type { OpenValue } from '#store/reveal.ts'
import { upgradeValue, type Upgrade } from '#store/upgrade-value.ts'

/** Keys of one vault, fetched before a deciding transaction so that nothing waits for OpenBao inside it. */
export interface KeyRing {
  /** Seals a reason for the log, bound to the identity. */
  readonly sealReason: (identityId: IdentityId, reason: string) => Sealed
  readonly openValue: OpenValue
  /** Seals anew what was opened of before vault keys; in the transaction that opened it. */
  readonly upgrade: (trx: Transaction, actor: Actor) => Promise<void>
}

type Keyed = Pick<CheckoutFacts, 'vaultKey' | 'keyVersions' | 'legacyOpen' | 'hasLegacyValues'>

const busy = () => new LeaseholdError('busy', { retryAfterSeconds: 1 })

/** @throws LeaseholdError `dependency-unavailable` (role openbao) when a key is not cached and cannot be had */
export async function fetchKeyRing(vaultKeys: VaultKeys, { vaultKey, keyVersions, legacyOpen, hasLegacyValues }: Keyed): Promise<KeyRing> {
  const keys = new Map<number, VaultKey>()
  const [legacy] = await Promise.all([
    legacyOpen && hasLegacyValues ? vaultKeys.legacy(vaultKey.accountId, vaultKey.organizationId) : undefined,
    ...[...new Set([...keyVersions, vaultKey.keyVersion])].map(async (version) => {
      keys.set(version, await vaultKeys.get({ ...vaultKey, keyVersion: version }))
    }),
  ])
  // A value that was stored under a newer key since the caller looked: the caller asks again and fetches that key.
  const keyOf = (version: number): VaultKey => {
    const key = keys.get(version)
    if (key === undefined) throw busy()
    return key
  }
  const upgrades: Upgrade[] = []
  const openValue: OpenValue = (facts, version, sealed) => {
    const { organizationId, vaultId, identityId } = facts
    // Moved to another vault since the caller looked: these keys are none of its.
    if (vaultId !== vaultKey.vaultId) throw busy()
    const belongsTo = { identityId, version, purpose: 'credential' } as const
    const named = sealed.encryptionVersion === 2 ? namedVersion(sealed, facts.vaultKey.keyVersion) : undefined
    const value = openStored({ vault: named === undefined ? undefined : keyOf(named), legacy: facts.legacyOpen ? legacy : undefined }, belongsTo, sealed)
    if (named === undefined)
      upgrades.push({ organizationId, vaultId, identityId, version, old: sealed, next: seal(keyOf(vaultKey.keyVersion), belongsTo, value) })
    return value
  }
  return {
    sealReason: (identityId, reason) => seal(keyOf(vaultKey.keyVersion), { identityId, version: 0, purpose: 'reason' }, Secret.of(reason)),
    openValue,
    upgrade: async (trx, actor) => {
      for (const upgrade of upgrades.splice(0)) await upgradeValue(trx, upgrade, actor)
    },
  }
}

/** Decides, and seals anew in the same transaction what the decision opened of before vault keys (S2 "lazy migration"). */
export const withUpgrade =
  <T>(ring: KeyRing, actor: Actor, decide: (trx: Transaction) => Promise<T>) =>
  async (trx: Transaction): Promise<T> => {
    const decided = await decide(trx)
    await ring.upgrade(trx, actor)
    return decided
  }

/** The version of the organization secret that a ciphertext names; undefined: one that there is not. */
function namedVersion({ keyId }: Sealed, newest: number): number | undefined {
  try {
    const version = keyVersionOf(keyId)
    return version <= newest ? version : undefined
  } catch {
    return undefined
  }
}

/** Reads a sealed reason for somebody who may see it. */
export async function openReason(
  vaultKeys: VaultKeys,
  identityId: IdentityId,
  reason: { readonly sealed: Sealed; readonly key: VaultKeyRef },
): Promise<string> {
  const key = await vaultKeys.get(reason.key)
  return open(key, { identityId, version: 0, purpose: 'reason' }, reason.sealed).expose()
}

import { LeaseholdError } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/ids.ts'
import type { Sealed } from '#schemas/sealed.ts'
import { Secret } from '#schemas/secret.ts'
import type { VaultKeyRef } from '#schemas/vault-key-ref.ts'
import { open, seal } from '#secrets/envelope.ts'
import { keyVersionOf, type VaultKey, type VaultKeys } from '#secrets/vault-keys.ts'
import type { CheckoutFacts } from '#store/checkout-facts.ts'
import type { OpenValue } from '#store/reveal.ts'

/** Keys of one vault, fetched before a deciding transaction so that nothing waits for OpenBao inside it. */
export interface KeyRing {
  /** Seals a reason for the log, bound to the identity. */
  readonly sealReason: (identityId: IdentityId, reason: string) => Sealed
  readonly openValue: OpenValue
}

/** @throws LeaseholdError `dependency-unavailable` (role openbao) when a key is not cached and cannot be had */
export async function fetchKeyRing(vaultKeys: VaultKeys, { vaultKey, keyVersions }: Pick<CheckoutFacts, 'vaultKey' | 'keyVersions'>): Promise<KeyRing> {
  const keys = new Map<number, VaultKey>()
  await Promise.all(
    [...new Set([...keyVersions, vaultKey.keyVersion])].map(async (version) => {
      keys.set(version, await vaultKeys.get({ ...vaultKey, keyVersion: version }))
    }),
  )
  // A value that was stored under a newer key since the caller looked: the caller asks again and fetches that key.
  const keyOf = (version: number): VaultKey => {
    const key = keys.get(version)
    if (key === undefined) throw new LeaseholdError('busy', { retryAfterSeconds: 1 })
    return key
  }
  return {
    sealReason: (identityId, reason) => seal(keyOf(vaultKey.keyVersion), { identityId, version: 0, purpose: 'reason' }, Secret.of(reason)),
    openValue: (facts, version, sealed) => open(keyOf(keyVersionOf(sealed.keyId)), { identityId: facts.identityId, version, purpose: 'credential' }, sealed),
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

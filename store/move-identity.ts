import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { IdentityId, VaultId } from '#schemas/ids.ts'
import type { Identity } from '#schemas/identity.ts'
import type { Principal } from '#schemas/principal.ts'
import { hasPermission, vaultAccess } from '#schemas/rules/access.ts'
import { isLooser } from '#schemas/rules/approval-policy.ts'
import type { Sealed } from '#schemas/sealed.ts'
import { findPolicyOf, findVaultPolicy } from './approval-policy.ts'
import { appendAudit } from './audit.ts'
import { lockIdentity, readCheckoutFacts, type CheckoutFacts } from './checkout-facts.ts'
import type { Transaction } from './connection.ts'
import { readCredentials } from './credential.ts'
import { readIdentity } from './identity.ts'
import { lockAuthority, readPrincipal, type VaultPlace } from './principal.ts'
import { reseal } from './reencryption.ts'
import { expectVersion, refuseDuplicates, refuseFaults } from './refusals.ts'
import { refuseInUse } from './refuse-in-use.ts'
import { oweAccessReview } from './owe-access-review.ts'
import { lockVault, readVault, readVaultKeyRef } from './vault.ts'

export interface Move {
  readonly id: IdentityId
  /** Where the caller saw it. */
  readonly from: VaultPlace
  readonly to: VaultId
  readonly principal: Principal
  readonly actor: Actor
  /** Opens a stored value and seals it for the vault it moves to; only computes, the keys were fetched before. */
  readonly reseal: (facts: CheckoutFacts, version: number, sealed: Sealed) => Sealed
  /** Version of the organization secret that `reseal` seals under. */
  readonly keyVersion: number
  readonly expectedVersion?: number | undefined
}

/**
 * Moves an identity to another vault: every stored value is sealed under the key of that vault, or nothing happens. What is over
 * stays where it was: leases and rotations go on naming the old vault, under whose key their reasons are; the hashes of old
 * values keep the key that they were made with, so that none of them comes back. Grants count by the vault, so those of the old
 * one are over with the commit.
 *
 * @throws LeaseholdError `not-found`, `forbidden`, `approvals-lost`, `precondition-failed`, `identity-checked-out`, `identity-rotating`, `rotation-open`,
 *   `validation-failed` (hosts of another organization), `in-use` (a host's admin identity), `already-exists` (the name), `decryption-failed`, `busy`
 */
export async function moveIdentity(trx: Transaction, move: Move): Promise<Identity> {
  const { id, from, to, principal, actor } = move
  const target = { vaultId: to, organizationId: (await readVault(trx, to)).organizationId }
  await lockAuthority(trx, principal, target)
  await lockVault(trx, to, 'use')
  const mover = requireMove(await readPrincipal(trx, principal.userId), from, target)
  await lockIdentity(trx, id)
  const before = await readIdentity(trx, id)
  expectVersion(before.version, move.expectedVersion)
  if (before.identityGroupId === to) return before
  if (before.identityGroupId !== from.vaultId || (await readVaultKeyRef(trx, to)).keyVersion !== move.keyVersion) {
    throw new LeaseholdError('busy', { retryAfterSeconds: 1 })
  }
  if (!mover.owner) await refuseLostApprovals(trx, id, target)
  await refuseInUse(trx, id, actor, false)
  if (target.organizationId !== before.organizationId) await refuseTies(trx, before)
  const values = await resealAll(trx, move)
  await refuseDuplicates(
    sql`update identity set organization_id = ${target.organizationId}::uuid, vault_id = ${to}::uuid, version = version + 1 where id = ${id}::uuid`.execute(
      trx,
    ),
  )
  // A policy of its own goes with it: there others may read, change and fulfil it, and agree anew.
  await sql`update approval_policy set organization_id = ${target.organizationId}::uuid, version = version + 1
    where identity_id = ${id}::uuid and deleted_at is null and organization_id <> ${target.organizationId}::uuid`.execute(trx)
  // Whoever has seen a value in the old vault may have nothing to do with the new one.
  await oweAccessReview(trx, { vaultId: to })
  // Both sides see it, whoever may read the log of which.
  for (const place of [from, target]) {
    await appendAudit(trx, {
      actor,
      action: 'identity.moved',
      effect: 'permit',
      outcome: 'success',
      ...place,
      identityId: id,
      detail: { from: from.vaultId, to, values },
    })
  }
  return readIdentity(trx, id)
}

/** Whoever moves manages both vaults, and gets no access by it that somebody else would have had to grant. */
function requireMove(now: Principal | undefined, from: VaultPlace, to: VaultPlace): Principal {
  if (now === undefined || [from, to].some((place) => !hasPermission(now, 'pam_vaults.manage', place.organizationId))) {
    throw new LeaseholdError('forbidden', { missing: 'pam_vaults.manage' })
  }
  const gains = (['view_credentials', 'checkout'] as const).some((level) => lasts(now, to, level) > lasts(now, from, level))
  if (gains) throw new LeaseholdError('forbidden', { missing: 'another person: nobody grants access to themselves' })
  return now
}

/** A policy of the identity comes along; that of its vault does not, and people there rely on it. */
async function refuseLostApprovals(trx: Transaction, id: IdentityId, { vaultId, organizationId }: VaultPlace): Promise<void> {
  const before = await findPolicyOf(trx, id)
  if (before === undefined || !before.required || (before.identityId !== null && before.organizationId === organizationId)) return
  const after = before.identityId === null ? await findVaultPolicy(trx, vaultId) : before
  // Elsewhere other people hold the permission to approve.
  if (after === undefined || organizationId !== before.organizationId || isLooser(before, after)) throw new LeaseholdError('approvals-lost')
}

/** Until when the principal has access at `level`, ms since 1970. */
function lasts(principal: Principal, { vaultId, organizationId }: VaultPlace, level: 'view_credentials' | 'checkout'): number {
  // A grant without the permission opens nothing.
  if (!hasPermission(principal, 'pam_vaults.view', organizationId)) return 0
  const access = vaultAccess(principal, vaultId, level)
  return access === undefined ? 0 : (access.endsAt?.getTime() ?? Infinity)
}

/** Hosts belong to an organization, and so do the identities that log in there. */
async function refuseTies(trx: Transaction, { id, hostIds }: Identity): Promise<void> {
  refuseFaults(hostIds.length > 0 ? [{ path: 'identityGroupId', message: 'must be in the organization of the hosts in hostIds' }] : [])
  const { rows } = await sql`select from host where admin_identity_id = ${id}::uuid and deleted_at is null limit 1`.execute(trx)
  if (rows.length > 0) throw new LeaseholdError('in-use', { detail: 'This is the admin identity of a host' })
}

/** @returns how many values there are */
async function resealAll(trx: Transaction, { id: identityId, from: { vaultId }, reseal: next }: Move): Promise<number> {
  const facts = await readCheckoutFacts(trx, identityId, null)
  const values = await readCredentials(trx, identityId)
  for (const [version, sealed] of values) await reseal(trx, { identityId, vaultId, sealed, of: { version } }, next(facts, version, sealed))
  return values.size
}

import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import type { LeaseId, OrganizationId, UserId, VaultId } from '#schemas/ids.ts'
import type { Principal } from '#schemas/principal.ts'
import { hasPermission, vaultAccess } from '#schemas/rules/access.ts'
import type { LeaseEndCause, LeaseMode } from '#schemas/states.ts'
import { lockIdentity } from './checkout-facts.ts'
import type { RunInAccount, Transaction } from './connection.ts'
import { moveLeaseEnd } from './extend-lease.ts'
import { readLease } from './lease.ts'
import { condemnSeen } from './lost-access.ts'
import type { AccessSubject } from './owe-access-review.ts'
import { readPrincipal } from './principal.ts'
import { releaseLease } from './release-lease.ts'
import { endOfSupport } from './support-access.ts'

/**
 * Everything that follows from a right that somebody has lost: what they hold ends, and what they have seen dies.
 *
 * @returns how much of it there was
 */
export const reviewRights = async (inAccount: RunInAccount, subject: AccessSubject, actor: Actor): Promise<number> =>
  (await reviewLeases(inAccount, subject, actor)) + (await condemnSeen(inAccount, subject, actor))

/**
 * Ends every lease whose holder has lost the right to it, and shortens those that would outlive it. One transaction
 * each: a hundred holders must not hold a hundred locks. Running it twice changes nothing.
 *
 * @param inAccount runs one transaction of the account
 * @returns how many leases it ended or shortened
 */
export async function reviewLeases(inAccount: RunInAccount, subject: AccessSubject, actor: Actor): Promise<number> {
  let changed = 0
  for (const leaseId of await inAccount((trx) => activeLeases(trx, subject))) {
    if (await inAccount((trx) => reviewLease(trx, leaseId, actor))) changed += 1
  }
  return changed
}

async function activeLeases(trx: Transaction, subject: AccessSubject): Promise<LeaseId[]> {
  const { vaultId = null, userId = null } = subject as { vaultId?: VaultId; userId?: UserId }
  const { rows } = await sql<{ id: LeaseId }>`
    select id from lease where (vault_id = ${vaultId}::uuid or user_id = ${userId}::uuid) and state = 'active' order by id`.execute(trx)
  return rows.map(({ id }) => id)
}

async function reviewLease(trx: Transaction, leaseId: LeaseId, actor: Actor): Promise<boolean> {
  const lease = await readLease(trx, leaseId)
  const ended = lease.mode === 'support' ? await endOfSupport(trx, leaseId) : undefined
  const right = ended === undefined ? rightTo(await readPrincipal(trx, lease.userId), lease) : { lost: ended }
  if ('lost' in right) {
    await releaseLease(trx, { leaseId, cause: right.lost, actor })
    return true
  }
  await lockIdentity(trx, lease.identityId)
  const { state, expiresAt } = await readLease(trx, leaseId)
  if (state === 'ended' || right.endsAt === null || right.endsAt >= new Date(expiresAt)) return false
  await moveLeaseEnd(trx, leaseId, { expiresAt: right.endsAt, grantEndsAt: right.endsAt })
  return true
}

/** What the holder's right to a lease has become: lost, or there until `endsAt` (null: without end). */
function rightTo(
  holder: Principal | undefined,
  { vaultId, organizationId, mode }: { readonly vaultId: VaultId; readonly organizationId: OrganizationId; readonly mode: LeaseMode },
): { readonly lost: LeaseEndCause } | { readonly endsAt: Date | null } {
  if (mode === 'break_glass')
    return holder !== undefined && hasPermission(holder, 'pam_vaults.break_glass', organizationId) ? { endsAt: null } : { lost: 'revoked' }
  if (holder === undefined || !hasPermission(holder, 'pam_vaults.view', organizationId)) return { lost: 'revoked' }
  return vaultAccess(holder, vaultId, 'checkout') ?? { lost: 'grant_ended' }
}

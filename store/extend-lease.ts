import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { AccessRequestId, LeaseId } from '#schemas/ids.ts'
import type { LeaseFacts } from '#schemas/lease-facts.ts'
import type { Principal } from '#schemas/principal.ts'
import { extendedExpiryOf } from '#schemas/rules/lease.ts'
import { appendAudit } from './audit.ts'
import { lockIdentity, readCheckoutFacts } from './checkout-facts.ts'
import type { Transaction } from './connection.ts'
import { owe } from './duties.ts'
import { readLease } from './lease.ts'
import { confirmEmergency, confirmVaultAccess } from './principal.ts'

export interface Extension {
  readonly leaseId: LeaseId
  readonly minutes: number
  /** When the decision that permits it ends; absent or null: it does not. */
  readonly decisionEndsAt?: Date | null
  readonly principal: Principal
  readonly actor: Actor
}

/**
 * Moves the end of the holder's lease: `minutes` are added to its present end, at most 1440 minutes after its start (in an
 * emergency: what the organization allows) and never past the holder's access or what was approved. Authority is checked
 * again like at a checkout: where an approval is needed by now, a lease without one goes no further.
 *
 * @throws LeaseholdError `not-found`, `forbidden`, `lease-not-active`, `identity-draining`, `approval-required`, `busy`
 */
export async function extendLease(trx: Transaction, { leaseId, minutes, decisionEndsAt, principal, actor }: Extension): Promise<LeaseFacts> {
  const before = await readLease(trx, leaseId)
  if (before.userId !== principal.userId) throw new LeaseholdError('forbidden', { missing: 'only the holder extends a lease' })
  const emergency = before.mode === 'break_glass'
  const access = emergency ? await confirmEmergency(trx, principal, before) : await confirmVaultAccess(trx, principal, before, 'checkout')
  await lockIdentity(trx, before.identityId)
  const lease = await readLease(trx, leaseId)
  const facts = await readCheckoutFacts(trx, lease.identityId, null)
  // Overdue is over, whether or not a clock has ended it yet.
  if (lease.state !== 'active' || lease.remainingMs === 0) throw new LeaseholdError('lease-not-active')
  if (facts.draining) throw new LeaseholdError('identity-draining', { retryAfterSeconds: 30 })
  const approval = await readApproval(trx, leaseId)
  if (facts.approvalRequired && approval.requestId === null && !emergency) throw new LeaseholdError('approval-required')
  const times = { startedAt: new Date(lease.startedAt), expiresAt: new Date(lease.expiresAt) }
  const expiresAt = extendedExpiryOf(
    times,
    minutes,
    [access.endsAt, decisionEndsAt ?? null, approval.endsAt],
    emergency ? facts.breakGlassMaximumMinutes : facts.maximumLeaseMinutes,
  )
  if (expiresAt > times.expiresAt) await moveLeaseEnd(trx, leaseId, { expiresAt, grantEndsAt: access.endsAt })
  await appendAudit(trx, {
    actor,
    action: 'lease.extended',
    effect: 'permit',
    outcome: 'success',
    organizationId: lease.organizationId,
    vaultId: lease.vaultId,
    identityId: lease.identityId,
    hostId: lease.hostId,
    leaseId,
    requestedMinutes: minutes,
    expiresAt,
    breakGlass: emergency,
    detail: { before: lease.expiresAt },
  })
  return readLease(trx, leaseId)
}

interface LeaseApproval {
  /** Null: the lease was given without one. */
  readonly requestId: AccessRequestId | null
  /** The last end that it allows. */
  readonly endsAt: Date | null
}

async function readApproval(trx: Transaction, leaseId: LeaseId): Promise<LeaseApproval> {
  const { rows } = await sql<LeaseApproval>`select request_id as "requestId", approval_ends_at as "endsAt" from lease where id = ${leaseId}::uuid`.execute(trx)
  return rows[0] ?? { requestId: null, endsAt: null }
}

/** Gives the lease another end; its workflow is told. The caller holds the lock of the identity. */
export async function moveLeaseEnd(
  trx: Transaction,
  leaseId: LeaseId,
  { expiresAt, grantEndsAt }: { readonly expiresAt: Date; readonly grantEndsAt: Date | null },
): Promise<void> {
  await sql`
    with moved as (
      update lease set expires_at = ${expiresAt}::timestamptz, grant_ends_at = ${grantEndsAt}::timestamptz, version = version + 1 where id = ${leaseId}::uuid returning id, version, expires_at
    )
    insert into lease_term (lease_id, version, expires_at, set_at) select id, version, expires_at, app_clock() from moved`.execute(trx)
  await owe(trx, 'lease', leaseId)
}

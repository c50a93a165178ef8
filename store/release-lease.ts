import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import type { IdentityId, LeaseId, RotationId, UserId } from '#schemas/ids.ts'
import type { LeaseFacts } from '#schemas/lease-facts.ts'
import type { Sealed } from '#schemas/sealed.ts'
import type { LeaseEndCause } from '#schemas/states.ts'
import { appendAudit } from './audit.ts'
import { lockIdentity, readCheckoutFacts, type CheckoutFacts } from './checkout-facts.ts'
import type { Transaction } from './connection.ts'
import { owe } from './duties.ts'
import { insertRotation } from './insert-rotation.ts'
import { wakeJobs } from './job.ts'
import { readLease } from './lease.ts'

export interface Release {
  readonly leaseId: LeaseId
  readonly cause: LeaseEndCause
  readonly actor: Actor
  /** The person who ended it; absent when a clock did. */
  readonly endedBy?: UserId
  /** Sealed reason of a forced end. */
  readonly reason?: Sealed
  /** Cause `expired`: the version of the lease whose end was waited for. An extended lease has another one and lives on. */
  readonly expectedVersion?: number
}

/**
 * Ends a lease once, whatever races; ending an ended lease changes nothing. Cause `expired` ends it only when it is due.
 * When the last holder leaves, the rotation that is owed is inserted in the same transaction.
 *
 * @throws LeaseholdError `not-found`, `busy`
 */
export async function releaseLease(trx: Transaction, release: Release): Promise<LeaseFacts> {
  const { identityId } = await readLease(trx, release.leaseId)
  await lockIdentity(trx, identityId)
  await endLocked(trx, identityId, release)
  return readLease(trx, release.leaseId)
}

/** Ends every lease of the identity whose time is over: workers may be down, slots still come back. @returns how many it ended */
export async function endOverdueLeases(trx: Transaction, identityId: IdentityId, actor: Actor): Promise<number> {
  await lockIdentity(trx, identityId)
  const { overdue } = await readCheckoutFacts(trx, identityId, null)
  for (const leaseId of overdue) await endLocked(trx, identityId, { leaseId, cause: 'expired', actor })
  return overdue.length
}

async function endLocked(trx: Transaction, identityId: IdentityId, release: Release): Promise<void> {
  const { leaseId, cause, actor } = release
  const { rows } = await sql<{ must_die: boolean; organization_id: CheckoutFacts['organizationId']; vault_id: CheckoutFacts['vaultId']; user_id: UserId }>`
    update lease l set state = 'ended', ended_at = app_clock(), end_cause = ${cause}::text, ended_by = ${release.endedBy ?? null}::uuid
    from identity i where l.id = ${leaseId}::uuid and i.id = l.identity_id and l.state = 'active'
      and (${cause}::text <> 'expired' or (l.expires_at <= app_clock() and l.version = coalesce(${release.expectedVersion ?? null}::int, l.version)))
    returning i.rotate_after_use or l.mode = 'break_glass' as must_die, l.organization_id, l.vault_id, l.user_id`.execute(trx)
  const ended = rows[0]
  if (ended === undefined) return
  const owes = ended.must_die && (await condemn(trx, leaseId))
  const rotationId = await rotationOwed(trx, identityId, leaseId, actor)
  await appendAudit(trx, {
    actor,
    action: 'lease.ended',
    effect: 'permit',
    outcome: cause,
    organizationId: ended.organization_id,
    vaultId: ended.vault_id,
    identityId,
    userId: ended.user_id,
    leaseId,
    rotationId,
    ...(release.reason === undefined ? {} : { reason: release.reason }),
  })
  await owe(trx, 'lease', leaseId, { closed: !owes && rotationId === null })
}

/** What was shown under this lease must be rotated away. @returns whether anything was shown */
async function condemn(trx: Transaction, leaseId: LeaseId): Promise<boolean> {
  const { rows } = await sql`update exposure set must_die_at = app_clock() where lease_id = ${leaseId}::uuid and must_die_at is null returning 1`.execute(trx)
  return rows.length > 0
}

/**
 * What the identity owes once nobody holds it: an open rotation goes on now, an owed or overdue one is inserted.
 *
 * @returns the rotation that the ended lease waits for; null when its end owes none (or others still hold the identity)
 */
async function rotationOwed(trx: Transaction, identityId: IdentityId, leaseId: LeaseId, actor: Actor): Promise<RotationId | null> {
  const facts = await readCheckoutFacts(trx, identityId, leaseId)
  if (facts.takenSlots.length > 0) return null
  if (facts.openRotation !== null) await wakeJobs(trx, facts.openRotation.id)
  if (facts.owedSince === null) {
    if (facts.openRotation === null) await insertDueRotation(trx, identityId, actor)
    return null
  }
  const rotationId =
    facts.openRotation?.id ?? (facts.hosts.length > 0 ? await insertRotation(trx, identityId, { trigger: await owedTrigger(trx, identityId), actor }) : null)
  if (rotationId === null) return null
  const { rows } = await sql<{ id: LeaseId }>`
    update lease l set rotation_id = ${rotationId}::uuid where l.identity_id = ${identityId}::uuid and l.state = 'ended' and l.rotation_id is null
      and exists (select from exposure e where e.lease_id = l.id and e.must_die_at >= ${facts.owedSince}::timestamptz) returning l.id`.execute(trx)
  for (const row of rows) if (row.id !== leaseId) await owe(trx, 'lease', row.id)
  return rows.some((row) => row.id === leaseId) ? rotationId : null
}

async function owedTrigger(trx: Transaction, identityId: IdentityId): Promise<'after_use' | 'break_glass'> {
  const { rows } = await sql`select from exposure e join lease l on l.id = e.lease_id
    where e.identity_id = ${identityId}::uuid and e.must_die_at is not null and l.mode = 'break_glass'
      and e.version >= coalesce((select min(known_version) from identity_host where identity_id = ${identityId}::uuid), 0)`.execute(trx)
  return rows.length > 0 ? 'break_glass' : 'after_use'
}

/** A scheduled rotation that came due while the identity was held runs at the release. */
async function insertDueRotation(trx: Transaction, identityId: IdentityId, actor: Actor): Promise<void> {
  const { rows } = await sql<{ due_at: Date }>`
    select next_rotation_at as due_at from identity i where id = ${identityId}::uuid and next_rotation_at <= app_clock()
      and exists (select from identity_host h where h.identity_id = i.id)`.execute(trx)
  if (rows[0] !== undefined) await insertRotation(trx, identityId, { trigger: 'scheduled', actor, dueAt: rows[0].due_at })
}

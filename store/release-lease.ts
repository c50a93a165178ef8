import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import type { IdentityId, LeaseId, OrganizationId, RotationId, UserId, VaultId } from '#schemas/ids.ts'
import type { LeaseFacts } from '#schemas/lease-facts.ts'
import type { Sealed } from '#schemas/sealed.ts'
import type { LeaseEndCause } from '#schemas/states.ts'
import { appendAudit } from './audit.ts'
import { insertRotation } from './begin-rotation.ts'
import { lockIdentity, readCheckoutFacts, type CheckoutFacts } from './checkout-facts.ts'
import type { Transaction } from './connection.ts'
import { owe } from './duties.ts'
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
  await endLease(trx, identityId, release)
  return readLease(trx, release.leaseId)
}

/**
 * As releaseLease, for callers who know the identity and read the lease in their own way.
 *
 * @param identityId identity of the lease, which never changes
 */
export async function endLease(trx: Transaction, identityId: IdentityId, release: Release): Promise<void> {
  // One journey: the lock, and behind it the end and what the identity owes after it.
  const ending = Promise.all([lockIdentity(trx, identityId), flip(trx, release)])
  const facts = readCheckoutFacts(trx, identityId, null)
  // An identity that was deleted since the lease ended has no facts any more, and nobody needs them.
  facts.catch(() => {})
  const [, ended] = await ending
  if (ended !== undefined) await settle(trx, release, ended, await facts)
}

/** Ends every lease of the identity whose time is over: workers may be down, slots still come back. @returns how many it ended */
export async function endOverdueLeases(trx: Transaction, identityId: IdentityId, actor: Actor): Promise<number> {
  await lockIdentity(trx, identityId)
  const { overdue } = await readCheckoutFacts(trx, identityId, null)
  for (const leaseId of overdue) {
    const release: Release = { leaseId, cause: 'expired', actor }
    const ended = await flip(trx, release)
    if (ended !== undefined) await settle(trx, release, ended, await readCheckoutFacts(trx, identityId, null))
  }
  return overdue.length
}

interface Ended {
  readonly organizationId: OrganizationId
  readonly vaultId: VaultId
  readonly userId: UserId
  /** Something was shown under the lease that must be rotated away now. */
  readonly owes: boolean
}

/** Ends the lease and condemns what was shown under it; undefined when it had ended before, or is not due. The caller holds the lock. */
async function flip(trx: Transaction, { leaseId, cause, endedBy, expectedVersion }: Release): Promise<Ended | undefined> {
  const { rows } = await sql<Ended>`
    with ended as (
      update lease l set state = 'ended', ended_at = app_clock(), end_cause = ${cause}::text, ended_by = ${endedBy ?? null}::uuid
      from identity i where l.id = ${leaseId}::uuid and i.id = l.identity_id and l.state = 'active'
        and (${cause}::text <> 'expired' or (l.expires_at <= app_clock() and l.version = coalesce(${expectedVersion ?? null}::int, l.version)))
      returning l.id, i.rotate_after_use or l.mode = 'break_glass' as must_die, l.organization_id, l.vault_id, l.user_id
    ),
    condemned as (
      update exposure e set must_die_at = app_clock() from ended where ended.must_die and e.lease_id = ended.id and e.must_die_at is null returning 1
    )
    select organization_id as "organizationId", vault_id as "vaultId", user_id as "userId", exists (select from condemned) as owes from ended`.execute(trx)
  return rows[0]
}

/** Writes what follows from the end: the rotation that is owed, the proof, and the duty to tell the workflow. */
async function settle(trx: Transaction, { leaseId, cause, actor, reason }: Release, ended: Ended, facts: CheckoutFacts): Promise<void> {
  const { organizationId, vaultId, userId, owes } = ended
  const { identityId } = facts
  const rotationId = await rotationOwed(trx, facts, leaseId, actor)
  await Promise.all([
    appendAudit(trx, {
      actor,
      action: 'lease.ended',
      effect: 'permit',
      outcome: cause,
      organizationId,
      vaultId,
      identityId,
      userId,
      leaseId,
      rotationId,
      ...(reason === undefined ? {} : { reason }),
    }),
    owe(trx, 'lease', leaseId, { closed: !owes && rotationId === null }),
  ])
}

/**
 * What the identity owes once nobody holds it: an open rotation goes on now, an owed or overdue one is inserted.
 *
 * @returns the rotation that the ended lease waits for; null when its end owes none (or others still hold the identity)
 */
async function rotationOwed(trx: Transaction, facts: CheckoutFacts, leaseId: LeaseId, actor: Actor): Promise<RotationId | null> {
  const { identityId } = facts
  if (facts.takenSlots.length > 0) return null
  if (facts.openRotation !== null) await wakeJobs(trx, facts.openRotation.id)
  if (facts.owedSince === null) {
    // A scheduled rotation that came due while the identity was held runs at the release.
    const dueAt = facts.nextRotationAt
    if (facts.openRotation === null && dueAt !== null && dueAt <= facts.now && facts.hosts.length > 0) {
      await insertRotation(trx, identityId, { trigger: 'scheduled', actor, dueAt })
    }
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

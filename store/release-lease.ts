import type { Actor } from '#schemas/audit-event.ts'
import type { IdentityId, LeaseId, RotationId, UserId } from '#schemas/ids.ts'
import type { LeaseFacts } from '#schemas/lease-facts.ts'
import type { Sealed } from '#schemas/sealed.ts'
import type { LeaseEndCause } from '#schemas/states.ts'
import { lockIdentity, readCheckoutFacts } from './checkout-facts.ts'
import type { Transaction } from './connection.ts'
import { oweEach } from './duties.ts'
import { drainIdentities } from './drain-identity.ts'
import { wakeJobs } from './job.ts'
import { readLease } from './lease.ts'
import { bindLeases, endRows, listRestless, lockFreeIdentities, recordEnds, type EndedLease } from './lease-ends.ts'
import { raiseNotice } from './notice.ts'
import { insertRotations } from './owed-rotations.ts'

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
export async function endLease(trx: Transaction, identityId: IdentityId, { leaseId, ...release }: Release): Promise<void> {
  await lockIdentity(trx, identityId)
  await endLocked(trx, [identityId], [leaseId], release)
}

/** Ends every lease of the identity whose time is over: workers may be down, slots still come back. @returns how many it ended */
export async function endOverdueLeases(trx: Transaction, identityId: IdentityId, actor: Actor): Promise<number> {
  await lockIdentity(trx, identityId)
  const { overdue } = await readCheckoutFacts(trx, identityId, null)
  return endLocked(trx, [identityId], overdue, { cause: 'expired', actor })
}

/**
 * Ends those of the leases that are due, in one transaction. One whose identity is locked by somebody else stays for the next
 * time: it may be about to be extended, and nobody waits for it.
 *
 * @returns how many it ended
 */
export async function endDueLeases(trx: Transaction, leaseIds: readonly LeaseId[], actor: Actor): Promise<number> {
  return endLocked(trx, await lockFreeIdentities(trx, leaseIds), leaseIds, { cause: 'expired', actor })
}

/**
 * Ends those of the leases that are active, due or not, in one transaction; one whose identity is locked by somebody else stays for
 * the next time.
 *
 * @returns how many it ended
 */
export async function takeLeasesBack(trx: Transaction, leaseIds: readonly LeaseId[], cause: 'emergency' | 'revoked', actor: Actor): Promise<number> {
  return endLocked(trx, await lockFreeIdentities(trx, leaseIds), leaseIds, { cause, actor })
}

async function endLocked(
  trx: Transaction,
  identityIds: readonly IdentityId[],
  leaseIds: readonly LeaseId[],
  release: Omit<Release, 'leaseId'>,
): Promise<number> {
  if (identityIds.length === 0 || leaseIds.length === 0) return 0
  const ended = await endRows(trx, identityIds, leaseIds, release)
  if (ended.length === 0) return 0
  await drainIdentities(trx, emergenciesOf(ended), release.actor)
  const rotations = await rotateRestless(trx, ended, release.actor)
  await recordEnds(trx, ended, rotations, release)
  await tellOfEmergencies(trx, ended, rotations)
  return ended.length
}

/**
 * What identities owe once nobody holds them: an open rotation goes on now, an owed or overdue one is inserted.
 *
 * @returns the rotation that each of the ended leases waits for; those that wait for none (or others still hold the identity) are absent
 */
async function rotateRestless(trx: Transaction, ended: readonly EndedLease[], actor: Actor): Promise<ReadonlyMap<LeaseId, RotationId>> {
  const restless = await listRestless(trx, [...new Set(ended.map((lease) => lease.identityId))])
  for (const { openRotationId } of restless) if (openRotationId !== null) await wakeJobs(trx, openRotationId)
  const begun = await insertRotations(
    trx,
    restless.filter((identity) => identity.openRotationId === null && identity.rotatable && (identity.owedSince !== null || identity.dueAt !== null)),
    actor,
  )
  for (const { identityId, organizationId } of restless.filter((identity) => identity.trigger === 'break_glass' && !identity.rotatable)) {
    await raiseNotice(trx, {
      kind: 'rotation.needs_attention',
      severity: 'critical',
      subject: { type: 'identity', id: identityId },
      organizationId,
      to: 'admins',
    })
  }
  const owed = restless.flatMap(({ identityId, owedSince, openRotationId }) => {
    const rotationId = openRotationId ?? begun.get(identityId)
    return owedSince === null || rotationId === undefined ? [] : [{ identityId, rotationId, owedSince }]
  })
  const waiting = owed.length === 0 ? new Map<LeaseId, RotationId>() : await bindLeases(trx, owed)
  const now = new Set(ended.map((lease) => lease.leaseId))
  const earlier = [...waiting.keys()].filter((leaseId) => !now.has(leaseId))
  if (earlier.length > 0)
    await oweEach(
      trx,
      'lease',
      earlier.map((subjectId) => ({ subjectId, closed: false })),
    )
  return new Map([...waiting].filter(([leaseId]) => now.has(leaseId)))
}

const isEmergency = ({ mode }: EndedLease): boolean => mode === 'break_glass'
const emergenciesOf = (ended: readonly EndedLease[]): IdentityId[] => [...new Set(ended.filter(isEmergency).map((lease) => lease.identityId))]

/** The admins who heard of the beginning of an emergency use hear of its end. */
async function tellOfEmergencies(trx: Transaction, ended: readonly EndedLease[], rotations: ReadonlyMap<LeaseId, RotationId>): Promise<void> {
  for (const { leaseId, organizationId, identityId, userId, cause } of ended.filter(isEmergency)) {
    await raiseNotice(trx, {
      kind: 'break_glass.ended',
      severity: 'warning',
      subject: { type: 'lease', id: leaseId },
      organizationId,
      to: 'admins',
      facts: { userId, identityId, cause, rotationId: rotations.get(leaseId) ?? null },
    })
  }
}

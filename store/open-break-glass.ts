import { sql } from 'kysely'
import { LeaseholdError } from '#schemas/errors.ts'
import type { OrganizationId, UserId } from '#schemas/ids.ts'
import type { LeaseFacts } from '#schemas/lease-facts.ts'
import { breakGlassSlot, possibleVersions, remindEvery, untilAllowed, usesPerMinute, useWindow } from '#schemas/rules/break-glass.ts'
import { expiryOf } from '#schemas/rules/lease.ts'
import type { Sealed } from '#schemas/sealed.ts'
import { newLease, recordReplay, refuseOtherRequest, writeLease, type Decided, type LeaseRequest } from './acquire-lease.ts'
import { holdBreakGlassCredential } from './break-glass-credential.ts'
import { readCheckoutFacts, type CheckoutFacts } from './checkout-facts.ts'
import type { Transaction } from './connection.ts'
import { readCredentials } from './credential.ts'
import { owe } from './duties.ts'
import { readLease } from './lease.ts'
import { raiseNotice } from './notice.ts'
import { showPossible, type PossibleCredential } from './possible-credentials.ts'
import { confirmEmergency } from './principal.ts'
import { refuseFaults } from './refusals.ts'
import { endOverdueLeases } from './release-lease.ts'

export interface BreakGlassRequest extends Omit<LeaseRequest, 'minutes'> {
  /** Null: as long as the organization allows. */
  readonly minutes: number | null
  /** The passphrase or security key that was accepted; it must still be the person's. */
  readonly credentialId: string
  /** Sealed with the vault key for identity and purpose `reason`. */
  readonly justification: Sealed
}

export interface BreakGlassUse {
  readonly lease: LeaseFacts
  readonly beyondLimit: boolean
  /** The likeliest first; empty: nothing may be shown. */
  readonly possible: readonly PossibleCredential[]
  readonly replayed: boolean
}

/**
 * Decides one emergency use: the lease, what was shown, its audit event, the notice to every admin, the review that waits for one of
 * them and the duties, or nothing. Neither other holders nor a rotation nor Temporal keep it from happening.
 *
 * The limit is counted by the clock behind the locks of organization and person, over the leases themselves: whatever path or
 * replica made them.
 *
 * @throws LeaseholdError `not-found`, `forbidden`, `break-glass-credential-refused` (revoked meanwhile), `break-glass-rate-limited`,
 *   `identity-disabled`, `validation-failed`, `idempotency-key-reused`, `decryption-failed`, `busy`
 */
export async function openBreakGlass(trx: Transaction, request: BreakGlassRequest): Promise<BreakGlassUse> {
  const { identityId, principal, vault, leaseId, hostId } = request
  await lockUses(trx, vault.organizationId, principal.userId)
  await confirmEmergency(trx, principal, vault)
  const credential = await holdBreakGlassCredential(trx, request.credentialId)
  if (credential === undefined) throw new LeaseholdError('break-glass-credential-refused')
  await endOverdueLeases(trx, identityId, { kind: 'system', id: 'break-glass' })
  const facts = await readCheckoutFacts(trx, identityId, leaseId)
  const credentials = await readCredentials(trx, identityId)
  // Moved to another vault since the caller looked: the authority that was confirmed is not the one that counts.
  if (facts.vaultId !== vault.vaultId) throw new LeaseholdError('busy', { retryAfterSeconds: 1 })
  const show = () => showPossible(trx, facts, credentials, { hostId, leaseId, userId: principal.userId, open: request.open })
  if (facts.replayOf !== null) return replay(trx, request, facts, facts.replayOf, show)
  await refuseTooMany(trx, vault.organizationId, principal.userId, facts.now)
  if (!facts.active) throw new LeaseholdError('identity-disabled')
  refuseFaults(faultsOf(facts, request))
  const minutes = request.minutes ?? facts.breakGlassMaximumMinutes
  const { slot, beyondLimit } = breakGlassSlot(facts.takenSlots, facts.maxConcurrentSessions ?? 1)
  const possible = await show()
  const versions = possibleVersions(facts, hostId)
  const decided: Decided = {
    mode: 'break_glass',
    version: versions[0].version,
    slot,
    expiresAt: expiryOf(facts.now, minutes, [request.decisionEndsAt ?? null], facts.breakGlassMaximumMinutes),
    grantEndsAt: null,
    approval: null,
    ticket: request.ticket ?? null,
    detail: { beyondLimit, credential, exposed: possible.length > 0, versions: versions.map(({ version, label }) => ({ version, label })) },
  }
  const lease = { ...request, minutes }
  await writeLease(trx, lease, facts, { ...decided, exposed: false })
  await openReview(trx, request, facts, beyondLimit)
  await raiseNotice(trx, {
    kind: 'break_glass.opened',
    severity: 'critical',
    subject: { type: 'lease', id: leaseId },
    organizationId: facts.organizationId,
    to: 'admins',
    facts: { userId: principal.userId, identityId, vaultId: facts.vaultId, hostId, expiresAt: decided.expiresAt.toISOString(), beyondLimit },
  })
  return { lease: newLease(lease, facts, decided), beyondLimit, possible, replayed: false }
}

/** Organization before person, as everybody takes them. */
async function lockUses(trx: Transaction, organizationId: OrganizationId, userId: UserId): Promise<void> {
  for (const subject of [organizationId, userId]) await sql`select pg_advisory_xact_lock(hashtextextended(${`break-glass ${subject}`}::text, 0))`.execute(trx)
}

async function refuseTooMany(trx: Transaction, organizationId: OrganizationId, userId: UserId, now: Date): Promise<void> {
  const { rows } = await sql<{ user_id: UserId; organization_id: OrganizationId; started_at: Date }>`
    select user_id, organization_id, started_at from lease where mode = 'break_glass'
      and started_at > ${now}::timestamptz - make_interval(secs => ${useWindow}::float8 / 1000)
      and (user_id = ${userId}::uuid or organization_id = ${organizationId}::uuid)`.execute(trx)
  const waits = [rows.filter((use) => use.user_id === userId), rows.filter((use) => use.organization_id === organizationId)].map((uses) =>
    untilAllowed(
      uses.map((use) => use.started_at),
      now,
      useWindow,
      usesPerMinute,
    ),
  )
  const longest = Math.max(0, ...waits.map((wait) => wait ?? 0))
  if (longest > 0) throw new LeaseholdError('break-glass-rate-limited', { retryAfterSeconds: Math.ceil(longest / 1_000) })
}

function faultsOf({ hosts, breakGlassMaximumMinutes }: CheckoutFacts, { hostId, minutes }: BreakGlassRequest) {
  return [
    ...(hostId !== null && !hosts.some((host) => host.hostId === hostId) ? [{ path: 'hostId', message: 'must be a host of this identity' }] : []),
    ...(minutes !== null && minutes > breakGlassMaximumMinutes
      ? [{ path: 'durationMinutes', message: `must be at most ${breakGlassMaximumMinutes}, the longest that the organization allows` }]
      : []),
  ]
}

async function openReview(trx: Transaction, { leaseId, justification }: BreakGlassRequest, facts: CheckoutFacts, beyondLimit: boolean): Promise<void> {
  await sql`
    insert into break_glass_review (id, organization_id, beyond_limit, justification_ciphertext, justification_key_id, opened_at, remind_at)
    values (${leaseId}::uuid, ${facts.organizationId}::uuid, ${beyondLimit}::boolean, ${justification.ciphertext}::bytea, ${justification.keyId}::text,
      ${facts.now}::timestamptz, ${facts.now}::timestamptz + make_interval(secs => ${remindEvery}::float8 / 1000))`.execute(trx)
  await owe(trx, 'break_glass_review', leaseId)
}

/** The answer got lost and the caller asks again: the same lease, and while it lives the values once more, on record. It is no further use. */
async function replay(
  trx: Transaction,
  request: BreakGlassRequest,
  facts: CheckoutFacts,
  made: NonNullable<CheckoutFacts['replayOf']>,
  show: () => Promise<readonly PossibleCredential[]>,
): Promise<BreakGlassUse> {
  refuseOtherRequest(request, made)
  const lease = await readLease(trx, request.leaseId)
  const { rows } = await sql<{ beyondLimit: boolean }>`
    select beyond_limit as "beyondLimit" from break_glass_review where id = ${request.leaseId}::uuid`.execute(trx)
  const beyondLimit = rows[0]?.beyondLimit ?? false
  if (lease.state === 'ended') return { lease, beyondLimit, possible: [], replayed: true }
  const possible = await show()
  const detail = { exposed: possible.length > 0, versions: possible.map(({ version, label }) => ({ version, label })) }
  await recordReplay(trx, request, facts, { breakGlass: true, detail })
  return { lease, beyondLimit, possible, replayed: true }
}

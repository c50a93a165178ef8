import { sql } from 'kysely'
import type { Actor, AuditEntry } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { AccessRequestId, HostId, IdentityId, LeaseId, OrganizationId, VaultId } from '#schemas/ids.ts'
import type { LeaseFacts } from '#schemas/lease-facts.ts'
import type { Principal } from '#schemas/principal.ts'
import { checkoutRefusal, versionFor } from '#schemas/rules/checkout.ts'
import { expiryOf, lowestFreeSlot } from '#schemas/rules/lease.ts'
import type { Sealed } from '#schemas/sealed.ts'
import type { LeaseMode } from '#schemas/states.ts'
import { appendAudit, auditInsert } from './audit.ts'
import { lockIdentity, readCheckoutFacts, type CheckoutFacts } from './checkout-facts.ts'
import { sendWithCommit, type Transaction } from './connection.ts'
import { readCredentials } from './credential.ts'
import { dutyUpsert } from './duties.ts'
import { exposureInsert } from './exposure.ts'
import { readLease } from './lease.ts'
import { judgeVaultAccess, lockAuthority } from './principal.ts'
import { refuseReusedKey } from './refusals.ts'
import type { OpenValue, ShownCredential } from './reveal.ts'
import { useApproval, type UsedApproval } from './use-approval.ts'

export interface LeaseRequest {
  /** uuidv5(account, subject, Idempotency-Key). */
  readonly leaseId: LeaseId
  readonly identityId: IdentityId
  /** The vault of the identity, as the caller read it. */
  readonly vault: { readonly vaultId: VaultId; readonly organizationId: OrganizationId }
  readonly hostId: HostId | null
  /** 5-1440. */
  readonly minutes: number
  /** When the decision that permits it ends; absent or null: it does not. */
  readonly decisionEndsAt?: Date | null
  /** An approved access request of the principal for exactly this, which is used up. */
  readonly requestId?: AccessRequestId | null
  /** Names a case elsewhere; absent or null: that of the access request, if any. */
  readonly ticket?: string | null
  /** How many people must agree at least, by the decision that permits it; absent: none. */
  readonly approvers?: number
  readonly principal: Principal
  readonly actor: Actor
  /** SHA-256 over identity and body, 32 bytes: a retry must agree with it. */
  readonly requestHash: Uint8Array
  /** Sealed with the vault key for identity and purpose `reason`. */
  readonly reason: Sealed
  readonly open: OpenValue
}

export interface Checkout {
  readonly lease: LeaseFacts
  readonly ticket: string | null
  /** Null: the identity is inject-only, or the lease that is replayed has ended. */
  readonly credential: ShownCredential | null
  /** The same request made this lease before. */
  readonly replayed: boolean
}

/**
 * Decides one checkout: either the lease, its exposure, its audit event and its duty are there, or nothing is.
 * The value is decrypted and its tag checked before anything is written.
 *
 * @throws LeaseholdError `not-found`, `forbidden`, `idempotency-key-reused`, the 409s of a checkout, those of an approval (`useApproval`), `decryption-failed`, `busy`
 */
export async function acquireLease(trx: Transaction, request: LeaseRequest): Promise<Checkout> {
  const { identityId, principal, vault } = request
  // One journey: both locks, each by a statement of its own, and behind them all that is decided on.
  const [unchanged, , facts, sealed] = await Promise.all([
    lockAuthority(trx, principal, vault),
    lockIdentity(trx, identityId),
    readCheckoutFacts(trx, identityId, request.leaseId),
    readCredentials(trx, identityId),
  ])
  const access = await judgeVaultAccess(trx, principal, vault, 'checkout', unchanged)
  // Moved to another vault since the caller looked: the authority that was confirmed is not the one that counts.
  if (facts.vaultId !== vault.vaultId) throw new LeaseholdError('busy', { retryAfterSeconds: 1 })
  if (facts.replayOf !== null) return replay(trx, request, facts, sealed, facts.replayOf)
  const refusal = checkoutRefusal(facts, request.hostId, facts.now)
  if (refusal !== undefined) throw new LeaseholdError(refusal.code, refusal.facts)
  const version = versionFor(facts, request.hostId)
  const slot = lowestFreeSlot(facts.takenSlots, facts.maxConcurrentSessions ?? 1)
  // Overdue leases hold their slot until they are ended; the caller ends them first and tries once more.
  if (version === undefined || slot === undefined) throw new LeaseholdError('busy', { retryAfterSeconds: 1 })
  const credential = openCredential(request, facts, sealed, version)
  const approval = await useApproval(trx, facts, { ...request, userId: principal.userId })
  const decided: Decided = {
    mode: principal.support === null ? 'standard' : 'support',
    version,
    slot,
    expiresAt: expiryOf(facts.now, request.minutes, [access.endsAt, request.decisionEndsAt ?? null, approval?.endsAt ?? null], facts.maximumLeaseMinutes),
    grantEndsAt: access.endsAt,
    approval,
    ticket: request.ticket ?? approval?.ticket ?? null,
  }
  sendWithCommit(trx, writeLease(trx, request, facts, { ...decided, exposed: credential !== null }))
  return { lease: newLease(request, facts, decided), ticket: decided.ticket, credential, replayed: false }
}

function openCredential(request: LeaseRequest, facts: CheckoutFacts, credentials: ReadonlyMap<number, Sealed>, version: number): Checkout['credential'] {
  if (facts.exposure === 'inject_only') return null
  const sealed = credentials.get(version)
  if (sealed === undefined) throw new LeaseholdError('decryption-failed')
  return { username: facts.username, value: request.open(facts, version, sealed) }
}

export interface Decided {
  readonly mode: LeaseMode
  readonly version: number
  readonly slot: number
  readonly expiresAt: Date
  /** When the holder's access ends by itself; null: it does not. */
  readonly grantEndsAt: Date | null
  /** More for the audit event. */
  readonly detail?: Readonly<Record<string, unknown>>
  /** The approval that it uses up; null: none. */
  readonly approval: UsedApproval | null
  readonly ticket: string | null
}

/** What was just written, as `readLease` would tell it. */
export function newLease({ leaseId, hostId, principal, minutes }: LeaseRequest, facts: CheckoutFacts, decided: Decided): LeaseFacts {
  const [startedAt, expiresAt] = [facts.now.toISOString(), decided.expiresAt.toISOString()]
  return {
    leaseId,
    organizationId: facts.organizationId,
    vaultId: facts.vaultId,
    identityId: facts.identityId,
    hostId,
    userId: principal.userId,
    mode: decided.mode,
    state: 'active',
    slot: decided.slot,
    version: 1,
    credentialVersion: decided.version,
    requestedMinutes: minutes,
    startedAt,
    expiresAt,
    remainingMs: decided.expiresAt.getTime() - facts.now.getTime(),
    terms: [{ version: 1, expiresAt, setAt: startedAt }],
    endedAt: null,
    endCause: null,
    rotationOwed: false,
    rotation: null,
  }
}

/** Writes the lease with its exposure, its audit event and its duty. The caller holds the lock of the identity. */
export async function writeLease(
  trx: Transaction,
  request: LeaseRequest,
  facts: CheckoutFacts,
  decided: Decided & { readonly exposed: boolean },
): Promise<void> {
  const { leaseId, identityId, hostId, principal, reason } = request
  const audit = auditInsert({
    actor: request.actor,
    action: 'lease.granted',
    effect: 'permit',
    outcome: 'success',
    organizationId: facts.organizationId,
    vaultId: facts.vaultId,
    identityId,
    hostId,
    leaseId,
    requestId: decided.approval?.requestId ?? null,
    reason,
    requestedMinutes: request.minutes,
    expiresAt: decided.expiresAt,
    breakGlass: decided.mode === 'break_glass',
    detail: {
      ...(decided.ticket !== null && { ticket: decided.ticket }),
      slot: decided.slot,
      credentialVersion: decided.version,
      exposed: decided.exposed,
      ...decided.detail,
    },
  })
  const exposure = exposureInsert({ identityId, hostId, version: decided.version, userId: principal.userId, leaseId }, decided.exposed)
  const written = sql`
    with fenced as (update identity set epoch = epoch + 1 where id = ${identityId}::uuid returning epoch),
    granted as (
      insert into lease (id, organization_id, vault_id, identity_id, host_id, user_id, mode, slot, fence, credential_version, requested_minutes,
        started_at, expires_at, grant_ends_at, request_id, approval_ends_at, ticket, reason_ciphertext, reason_key_id, request_hash)
      select ${leaseId}::uuid, ${facts.organizationId}::uuid, ${facts.vaultId}::uuid, ${identityId}::uuid, ${hostId}::uuid, ${principal.userId}::uuid, ${decided.mode}::text,
        ${decided.slot}::int, epoch, ${decided.version}::int, ${request.minutes}::int, ${facts.now}::timestamptz, ${decided.expiresAt}::timestamptz, ${decided.grantEndsAt}::timestamptz,
        ${decided.approval?.requestId ?? null}::uuid, ${decided.approval?.endsAt ?? null}::timestamptz, ${decided.ticket}::text,
        ${reason.ciphertext}::bytea, ${reason.keyId}::text, ${request.requestHash}::bytea from fenced
    ),
    term as (
      insert into lease_term (lease_id, version, expires_at, set_at) values (${leaseId}::uuid, 1, ${decided.expiresAt}::timestamptz, ${facts.now}::timestamptz)
    ),
    exposed as (${exposure}),
    audited as (${audit}),
    owed as (${dutyUpsert('lease', leaseId)})
    select 1`.execute(trx)
  await refuseReusedKey(written, ['lease_pkey', 'lease_term_pkey'])
}

/** The answer got lost and the caller asks again: the same lease, and while it lives the value once more, on record. */
async function replay(
  trx: Transaction,
  request: LeaseRequest,
  facts: CheckoutFacts,
  credentials: ReadonlyMap<number, Sealed>,
  made: Replayed,
): Promise<Checkout> {
  refuseOtherRequest(request, made)
  const lease = await readLease(trx, request.leaseId)
  const { rows } = await sql<{ ticket: string | null }>`select ticket from lease where id = ${request.leaseId}::uuid`.execute(trx)
  const ticket = rows[0]?.ticket ?? null
  if (made.state === 'ended') return { lease, ticket, credential: null, replayed: true }
  const credential = openCredential(request, facts, credentials, made.credentialVersion)
  if (credential !== null) {
    await exposureInsert({
      identityId: facts.identityId,
      hostId: request.hostId,
      version: made.credentialVersion,
      userId: request.principal.userId,
      leaseId: request.leaseId,
    }).execute(trx)
  }
  await recordReplay(trx, request, facts, { detail: { exposed: credential !== null } })
  return { lease, ticket, credential, replayed: true }
}

type Replayed = NonNullable<CheckoutFacts['replayOf']>

/** @throws LeaseholdError `idempotency-key-reused`: the key belongs to another request */
export function refuseOtherRequest({ identityId, requestHash }: Pick<LeaseRequest, 'identityId' | 'requestHash'>, made: Replayed): void {
  if (made.identityId !== identityId || !Buffer.from(made.requestHash).equals(requestHash)) throw new LeaseholdError('idempotency-key-reused')
}

/** One audit event for an answer that was given once more. */
export const recordReplay = (
  trx: Transaction,
  { actor, hostId, leaseId, reason }: Pick<LeaseRequest, 'actor' | 'hostId' | 'leaseId' | 'reason'>,
  { organizationId, vaultId, identityId }: CheckoutFacts,
  more: Pick<AuditEntry, 'breakGlass' | 'detail'>,
): Promise<void> =>
  appendAudit(trx, {
    actor,
    action: 'lease.replayed',
    effect: 'permit',
    outcome: 'success',
    organizationId,
    vaultId,
    identityId,
    hostId,
    leaseId,
    reason,
    ...more,
  })

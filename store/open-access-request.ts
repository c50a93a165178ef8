import { sql } from 'kysely'
import type { ApprovalPolicy } from '#schemas/approval-policy.ts'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { AccessRequestId, HostId, IdentityId } from '#schemas/ids.ts'
import type { Principal } from '#schemas/principal.ts'
import { stepsFor } from '#schemas/rules/approval.ts'
import type { Sealed } from '#schemas/sealed.ts'
import { findAccessRequest, readAccessRequest, type AccessRequestView } from './access-request.ts'
import { lockRequester, refuseMoreRequests } from './access-request-limits.ts'
import { appendAudit } from './audit.ts'
import { readApprovalTerms, refuseUnreachable, type ApprovalTerms } from './approval-terms.ts'
import type { Transaction } from './connection.ts'
import { owe } from './duties.ts'
import { raiseNotice } from './notice.ts'
import { confirmVaultAccess, type VaultPlace } from './principal.ts'
import { refuseFaults, refuseReusedKey } from './refusals.ts'
import { standingOf } from './approval-standing.ts'

export interface NewAccessRequest {
  /** uuidv5(account, subject, Idempotency-Key). */
  readonly id: AccessRequestId
  readonly identityId: IdentityId
  readonly vault: VaultPlace
  /** A host of the identity, or null: for none in particular. */
  readonly hostId: HostId | null
  readonly minutes: number
  readonly ticket: string | null
  /** Sealed with the key of the vault. */
  readonly reason: Sealed
  /** How many people must agree at least, by the policies of the account. */
  readonly atLeast: number
  readonly requestHash: Uint8Array
  readonly principal: Principal
  readonly actor: Actor
}

/**
 * Asks the approvers. The same request sent again finds what it has become.
 *
 * @throws LeaseholdError `not-found`, `forbidden`, `idempotency-key-reused`, `access-request-open`, `access-request-limit`, `validation-failed` (too long), `quorum-unreachable`
 */
export async function openAccessRequest(
  trx: Transaction,
  asked: NewAccessRequest,
): Promise<{ readonly request: AccessRequestView; readonly replayed: boolean }> {
  const { id, identityId, vault, hostId, minutes, ticket, reason, principal } = asked
  await confirmVaultAccess(trx, principal, vault, 'checkout')
  await lockRequester(trx, principal.userId)
  const made = await findAccessRequest(trx, id)
  if (made !== undefined) {
    if (made.identityId !== identityId || !Buffer.from(made.requestHash).equals(asked.requestHash)) throw new LeaseholdError('idempotency-key-reused')
    return { request: made, replayed: true }
  }
  await refuseMoreRequests(trx, { userId: principal.userId, identityId, hostId })
  const terms = await readApprovalTerms(trx, identityId)
  refuseTooLong(terms, minutes)
  refuseUnreachable(stepsFor(terms.steps, principal.userId, asked.atLeast))
  await refuseReusedKey(
    sql`insert into access_request (id, organization_id, vault_id, identity_id, host_id, user_id, requested_minutes, ticket, at_least, opened_at, expires_at, escalate_at,
        reason_ciphertext, reason_key_id, request_hash)
      select ${id}::uuid, ${vault.organizationId}::uuid, ${vault.vaultId}::uuid, ${identityId}::uuid, ${hostId}::uuid, ${principal.userId}::uuid, ${minutes}::int,
        ${ticket}::text, ${asked.atLeast}::int, clock.now, clock.now + make_interval(mins => ${terms.timeoutMinutes}::int),
        clock.now + make_interval(mins => ${terms.escalateAfterMinutes}::int), ${reason.ciphertext}::bytea, ${reason.keyId}::text, ${asked.requestHash}::bytea
      from (select app_clock() as now) clock`.execute(trx),
    ['access_request_pkey'],
  )
  const request = await readAccessRequest(trx, id)
  await recordAsked(trx, request, 'access_request.opened', asked.actor)
  await tellApprovers(trx, request, terms)
  await owe(trx, 'access_request', id)
  return { request, replayed: false }
}

/** @throws LeaseholdError `validation-failed` */
export function refuseTooLong({ maximumMinutes }: ApprovalTerms, minutes: number): void {
  const tooLong = maximumMinutes !== null && minutes > maximumMinutes
  refuseFaults(tooLong ? [{ path: 'durationMinutes', message: `must be at most ${maximumMinutes}, by the approval policy` }] : [])
}

/** What was asked for goes on record with its reason. */
export async function recordAsked(trx: Transaction, request: AccessRequestView, action: string, actor: Actor): Promise<void> {
  await appendAudit(trx, {
    actor,
    action,
    effect: 'permit',
    outcome: 'success',
    ...placeOf(request),
    reason: request.reason,
    requestedMinutes: request.requestedMinutes,
    expiresAt: request.expiresAt,
    detail: { version: request.version, ...(request.ticket === null ? {} : { ticket: request.ticket }) },
  })
}

/** Ids of an audit event about a request. */
export const placeOf = ({ id, organizationId, vaultId, identityId, hostId, userId }: AccessRequestView) => ({
  organizationId,
  vaultId,
  identityId,
  hostId,
  userId,
  requestId: id,
})

/** Tells the approvers of the step that is asked now. */
export async function tellApprovers(trx: Transaction, request: AccessRequestView, terms: ApprovalTerms): Promise<void> {
  const { steps, current } = standingOf(request, terms)
  if (current === null) return
  await raiseNotice(trx, {
    kind: 'access_request.opened',
    severity: 'info',
    subject: { type: 'access_request', id: request.id },
    organizationId: request.organizationId,
    to: [...(steps[current]?.people ?? [])],
    facts: factsOf(request, { step: current + 1 }),
  })
}

/**
 * What was agreed to under another policy, or another version of it, counts no more: those who are asked now hear of every request that
 * is open.
 *
 * @param of the policy that has changed
 */
export async function askAnew(trx: Transaction, of: Pick<ApprovalPolicy, 'identityGroupId' | 'identityId'>): Promise<void> {
  const { rows } = await sql<{ id: AccessRequestId; identityId: IdentityId }>`
    select t.id, t.identity_id as "identityId" from access_request t join identity i on i.id = t.identity_id
    where (i.id = ${of.identityId}::uuid or i.vault_id = ${of.identityGroupId}::uuid) and t.state in ('pending', 'approved') and t.expires_at > app_clock()
    order by t.id`.execute(trx)
  for (const { id, identityId } of rows) await tellApprovers(trx, await readAccessRequest(trx, id), await readApprovalTerms(trx, identityId))
}

/** What a notice about a request says: ids, states and times. */
export const factsOf = (request: AccessRequestView, more: Readonly<Record<string, number | string>> = {}) => ({
  identityId: request.identityId,
  vaultId: request.vaultId,
  requesterId: request.userId,
  version: request.version,
  minutes: request.requestedMinutes,
  expiresAt: request.expiresAt.toISOString(),
  ...more,
})

import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { AccessRequestId, HostId, IdentityId, UserId } from '#schemas/ids.ts'
import { stepsFor } from '#schemas/rules/approval.ts'
import type { Sealed } from '#schemas/sealed.ts'
import { lockAccessRequest, readAccessRequest, refuseClosed } from './access-request.ts'
import { lockRequester, refuseMoreEdits, refuseMoreRequests } from './access-request-limits.ts'
import { readApprovalTerms, refuseUnreachable } from './approval-terms.ts'
import type { Transaction } from './connection.ts'
import { owe } from './duties.ts'
import { recordAsked, refuseTooLong, tellApprovers } from './open-access-request.ts'
import { expectVersion, refuseFaults } from './refusals.ts'

/** What a request is made to ask for; what is absent stays. */
export interface AccessRequestChange {
  readonly id: AccessRequestId
  readonly userId: UserId
  readonly actor: Actor
  readonly expectedVersion?: number | undefined
  readonly minutes?: number | undefined
  readonly hostId?: HostId | null | undefined
  readonly ticket?: string | null | undefined
  /** Sealed with the key of the request's vault. */
  readonly reason?: Sealed | undefined
}

/**
 * Asks for something else: the request is pending again and starts anew, with all its time; what was decided before counts no more.
 *
 * @throws LeaseholdError `not-found`, `forbidden`, `precondition-failed`, `access-request-closed`, `access-request-open`, `access-request-limit`,
 *   `validation-failed`, `quorum-unreachable`
 */
export async function changeAccessRequest(trx: Transaction, change: AccessRequestChange): Promise<void> {
  const { id, userId, actor } = change
  const before = await lockAccessRequest(trx, id)
  if (before.userId !== userId) throw new LeaseholdError('forbidden', { missing: 'to be the requester' })
  expectVersion(before.version, change.expectedVersion)
  refuseClosed(before)
  refuseMoreEdits(before)
  const { minutes = before.requestedMinutes, hostId = before.hostId, ticket = before.ticket, reason = before.reason } = change
  const terms = await readApprovalTerms(trx, before.identityId)
  refuseTooLong(terms, minutes)
  if (hostId !== before.hostId) {
    if (hostId !== null) await refuseForeignHost(trx, before.identityId, hostId)
    await lockRequester(trx, userId)
    await refuseMoreRequests(trx, { userId, identityId: before.identityId, hostId, but: id })
  }
  refuseUnreachable(stepsFor(terms.steps, userId, before.atLeast))
  await sql`update access_request set state = 'pending', version = version + 1, requested_minutes = ${minutes}::int, host_id = ${hostId}::uuid, ticket = ${ticket}::text,
      reason_ciphertext = ${reason.ciphertext}::bytea, reason_key_id = ${reason.keyId}::text, approved_at = null, escalated_at = null,
      expires_at = clock.now + make_interval(mins => ${terms.timeoutMinutes}::int), escalate_at = clock.now + make_interval(mins => ${terms.escalateAfterMinutes}::int)
    from (select app_clock() as now) clock where id = ${id}::uuid`.execute(trx)
  const after = await readAccessRequest(trx, id)
  await recordAsked(trx, after, 'access_request.changed', actor)
  await tellApprovers(trx, after, terms)
  await owe(trx, 'access_request', id)
}

async function refuseForeignHost(trx: Transaction, identityId: IdentityId, hostId: HostId): Promise<void> {
  const { rows } = await sql`select from identity_host where identity_id = ${identityId}::uuid and host_id = ${hostId}::uuid`.execute(trx)
  refuseFaults(rows.length > 0 ? [] : [{ path: 'hostId', message: 'must be a host of this identity' }])
}

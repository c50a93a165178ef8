import { LeaseholdError } from '#schemas/errors.ts'
import type { AccessRequestId, HostId, IdentityId, UserId } from '#schemas/ids.ts'
import { minute } from '#schemas/rules/lease.ts'
import { opennessAt } from '#schemas/rules/time-window.ts'
import type { Actor } from '#schemas/audit-event.ts'
import { findAccessRequest, lockAccessRequest, refuseClosed, type AccessRequestView } from './access-request.ts'
import { appendAudit } from './audit.ts'
import { standingOf } from './approval-standing.ts'
import { readApprovalTerms } from './approval-terms.ts'
import type { CheckoutFacts } from './checkout-facts.ts'
import { closeRequest } from './close-access-request.ts'
import type { Transaction } from './connection.ts'
import { placeOf } from './open-access-request.ts'
import { refuseFaults } from './refusals.ts'

/** A checkout, as far as an approval is about it. */
export interface ApprovalUse {
  /** Absent: the caller names none. */
  readonly requestId?: AccessRequestId | null | undefined
  /** How many people must agree at least, by the decision of this very checkout; absent or 0: none. */
  readonly approvers?: number
  readonly identityId: IdentityId
  readonly hostId: HostId | null
  readonly minutes: number
  readonly userId: UserId
  readonly actor: Actor
}

export interface UsedApproval {
  readonly requestId: AccessRequestId
  /** The case that the request named. */
  readonly ticket: string | null
  /** When the lease ends at the latest. */
  readonly endsAt: Date
}

/**
 * Uses an approval up, in the transaction that decides the checkout; whoever holds the lock of the identity. It must be for the very
 * person, identity and host and at least as long, be in its time, and have enough approvals of people who may approve now: they are
 * counted anew here, whatever was written down when it was approved.
 *
 * @returns null: none is needed, and none was named
 * @throws LeaseholdError `approval-required`, `approvals-missing`, `access-request-closed`, `outside-time-window`, `validation-failed`
 */
export async function useApproval(
  trx: Transaction,
  { approvalRequired, now }: Pick<CheckoutFacts, 'approvalRequired' | 'now'>,
  use: ApprovalUse,
): Promise<UsedApproval | null> {
  const { requestId, approvers = 0 } = use
  if (requestId == null) {
    if (approvalRequired || approvers > 0) throw new LeaseholdError('approval-required')
    return null
  }
  const request = await lockOwnRequest(trx, requestId, use)
  refuseClosed(request)
  refuseOther(request, use)
  const terms = await readApprovalTerms(trx, use.identityId)
  const { steps, given, current } = standingOf(request, terms, approvers)
  if (request.state !== 'approved' || current !== null) {
    const needed = steps.map((step) => step.needed)
    throw new LeaseholdError('approvals-missing', { requestId, detail: `The access request has ${sum(given)} of the ${sum(needed)} approvals that it needs` })
  }
  const openness = opennessAt(terms.windows, now)
  if (!openness.open) {
    throw new LeaseholdError('outside-time-window', openness.opensAt === null ? {} : { until: openness.opensAt.toISOString() })
  }
  await closeRequest(trx, request, 'used')
  await appendAudit(trx, { actor: use.actor, action: 'access_request.used', effect: 'permit', outcome: 'success', ...placeOf(request), detail: { given } })
  const longest = now.getTime() + request.requestedMinutes * minute
  return { requestId, ticket: request.ticket, endsAt: new Date(Math.min(longest, openness.until?.getTime() ?? longest)) }
}

/** One of somebody else is no other than none: who may not see it must not learn that there is one. */
async function lockOwnRequest(trx: Transaction, id: AccessRequestId, { identityId, userId }: ApprovalUse): Promise<AccessRequestView> {
  const found = await findAccessRequest(trx, id)
  const isOwn = found !== undefined && found.userId === userId && found.identityId === identityId
  refuseFaults(isOwn ? [] : [{ path: 'requestId', message: 'must be an access request of yours for this identity' }])
  return lockAccessRequest(trx, id)
}

/** @throws LeaseholdError `validation-failed` for what was not approved */
function refuseOther(request: AccessRequestView, { hostId, minutes }: ApprovalUse): void {
  refuseFaults([
    ...(request.hostId === hostId ? [] : [{ path: 'hostId', message: 'must be the host of the access request' }]),
    ...(minutes <= request.requestedMinutes
      ? []
      : [{ path: 'durationMinutes', message: `must be at most ${request.requestedMinutes}, as in the access request` }]),
  ])
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0)

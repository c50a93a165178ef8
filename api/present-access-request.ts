import type { AccessRequest } from '#schemas/access-request.ts'
import type { UserId } from '#schemas/ids.ts'
import type { Sealed } from '#schemas/sealed.ts'
import { keyOf, type AccessRequestView } from '#store/access-request.ts'
import { isPresent, standingOf } from '#store/approval-standing.ts'
import type { ApprovalTerms } from '#store/approval-terms.ts'
import { openReason } from './key-ring.ts'
import type { Parts } from './parts.ts'

/**
 * A request as those see it who may read it: the requester, the approvers, admins and auditors. All of them may read its reason.
 *
 * @param caller who reads it
 */
export async function presentAccessRequest(
  vaultKeys: Parts['vaultKeys'],
  caller: UserId,
  { request, terms }: { readonly request: AccessRequestView; readonly terms: ApprovalTerms },
): Promise<AccessRequest> {
  const { steps, given, approvers } = standingOf(request, terms)
  const isOpen = request.state === 'pending' || request.state === 'approved'
  const opened = (sealed: Sealed) => openReason(vaultKeys, request.identityId, { sealed, key: keyOf(request, sealed) })
  return {
    id: request.id,
    organizationId: request.organizationId,
    identityGroupId: request.vaultId,
    identityId: request.identityId,
    hostId: request.hostId,
    requester: { id: request.userId, name: request.requester },
    state: request.state,
    reason: await opened(request.reason),
    ticket: request.ticket,
    durationMinutes: request.requestedMinutes,
    version: request.version,
    openedAt: request.openedAt.toISOString(),
    expiresAt: request.expiresAt.toISOString(),
    escalated: request.escalated,
    approvedAt: request.approvedAt?.toISOString() ?? null,
    closedAt: request.closedAt?.toISOString() ?? null,
    leaseId: request.leaseId,
    steps: steps.map(({ needed }, index) => ({ needed, given: given[index] ?? 0 })),
    decisions: await Promise.all(
      request.decisions.map(async (decision) => ({
        userId: decision.userId,
        name: decision.name,
        step: decision.step,
        verdict: decision.verdict,
        comment: decision.comment === null ? null : await opened(decision.comment),
        decidedAt: decision.decidedAt.toISOString(),
        version: decision.version,
        counts: isPresent(request, terms, decision) && (decision.verdict === 'deny' || steps[decision.step - 1]?.people.has(decision.userId) === true),
      })),
    ),
    mayDecide: isOpen && approvers.has(caller),
  }
}

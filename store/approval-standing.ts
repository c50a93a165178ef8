import type { UserId } from '#schemas/ids.ts'
import { progressOf, stepsFor, type Approval, type ApprovalProgress, type ApprovalStep } from '#schemas/rules/approval.ts'
import type { AccessDecision, AccessRequestView } from './access-request.ts'
import type { ApprovalTerms } from './approval-terms.ts'

/** Where a request stands by the terms and the people of this instant. */
export interface ApprovalStanding extends ApprovalProgress {
  readonly steps: readonly ApprovalStep<UserId>[]
  /** Approvals of this version of the request under this version of the policy, by whoever gave them. */
  readonly approvals: readonly Approval<UserId>[]
  /** Everybody who may decide now, in whatever step. Never the requester. */
  readonly approvers: ReadonlySet<UserId>
}

type Asked = Pick<AccessRequestView, 'userId' | 'version' | 'atLeast' | 'escalated' | 'decisions'>

/**
 * Counts anew, from the decisions and from who may approve now.
 *
 * @param atLeast how many people must agree by a decision that was made just now; the request has its own number
 */
export function standingOf(request: Asked, terms: ApprovalTerms, atLeast = 1): ApprovalStanding {
  const people = request.escalated ? terms.steps.map((step) => ({ ...step, people: new Set([...step.people, ...terms.escalation]) })) : terms.steps
  const steps = stepsFor(people, request.userId, Math.max(request.atLeast, atLeast))
  const approvals = request.decisions
    .filter((decision) => decision.verdict === 'approve' && isPresent(request, terms, decision))
    .map(({ userId, step }) => ({ userId, step: step - 1 }))
  return { steps, approvals, approvers: new Set(steps.flatMap((step) => [...step.people])), ...progressOf(steps, approvals) }
}

/** Whether a decision answered what is asked now. */
export const isPresent = ({ version }: Pick<Asked, 'version'>, { policy }: ApprovalTerms, decision: AccessDecision): boolean =>
  decision.version === version && decision.policyId === (policy?.id ?? null) && decision.policyVersion === (policy?.version ?? null)

import type { ApprovalSettings, Approver } from '../approval-policy.ts'

type Rules = Pick<ApprovalSettings, 'required' | 'steps' | 'validityMinutes' | 'maximumMinutes' | 'escalation' | 'windows'>

/** Of an access request that no approval policy is about. */
export const accountTerms: Rules = {
  required: false,
  steps: [{ needed: 1, approvers: [{ type: 'permission' }] }],
  validityMinutes: 480,
  maximumMinutes: null,
  escalation: null,
  windows: [],
}

/**
 * Whether something is approved under `after` that would not have been under `before`: fewer or other approvers, a longer use, other
 * times. What cannot be compared counts as looser.
 */
export const isLooser = (before: Rules, after: Rules): boolean =>
  (before.required && !after.required) ||
  before.steps.some((step, index) => {
    const next = after.steps[index]
    return next === undefined || next.needed < step.needed || !isWithin(next.approvers, step.approvers)
  }) ||
  after.validityMinutes > before.validityMinutes ||
  (after.maximumMinutes ?? Infinity) > (before.maximumMinutes ?? Infinity) ||
  escalatesMore(before.escalation, after.escalation) ||
  (before.windows.length > 0 && JSON.stringify(after.windows) !== JSON.stringify(before.windows))

function escalatesMore(before: Rules['escalation'], after: Rules['escalation']): boolean {
  if (after === null) return false
  return before === null || after.afterMinutes < before.afterMinutes || !isWithin(after.approvers, before.approvers)
}

const isWithin = (some: readonly Approver[], all: readonly Approver[]): boolean => some.every((one) => all.some((other) => keyOf(one) === keyOf(other)))
const keyOf = (approver: Approver): string => (approver.type === 'permission' ? approver.type : approver.id)

import type { AccessRequestId, IdentityId } from '#schemas/ids.ts'
import type { AccessRequestView } from '#store/access-request.ts'
import type { ApprovalWorld, Name } from './approval-world.ts'

/** Who may approve in one step, as a test says it; independent of how the product stores and counts it. */
export interface ModelStep {
  readonly needed: number
  readonly group: boolean
  readonly permission: boolean
  readonly named: readonly Name[]
}

export interface ModelPolicy {
  readonly steps: readonly ModelStep[]
  /** dan may decide after 20 minutes. */
  readonly escalates: boolean
}

/** An approval that the product accepted. */
interface Accepted {
  readonly who: Name
  readonly step: number
  readonly version: number
  readonly policyVersion: number
}

export interface ModelRequest {
  readonly id: AccessRequestId
  version: number
  minutes: number
  approvals: Accepted[]
  over: boolean
  /** Its time is over: known from the product, and only used to choose what to do next. */
  expired: boolean
  approved: boolean
  leases: number
}

/** What the test knows by itself of one sequence of events. */
export interface Model {
  readonly policy: ModelPolicy
  readonly members: Set<Name>
  readonly holders: Set<Name>
  policyVersion: number
  requests: ModelRequest[]
  taken: boolean
}

export interface Real {
  readonly world: ApprovalWorld
  readonly identityId: IdentityId
  readonly policyId: string
  /** How often something was checked out, over all sequences. */
  readonly seen: Record<string, number>
}

export const requester: Name = 'sam'

/** Who may approve in a step now. Never the requester. */
export function eligible({ policy, members, holders }: Model, step: ModelStep, escalated: boolean): Set<Name> {
  const people = new Set<Name>([
    ...step.named,
    ...(step.group ? members : []),
    ...(step.permission ? [...holders, 'mia' as const] : []),
    ...(policy.escalates && escalated ? ['dan' as const] : []),
  ])
  people.delete(requester)
  return people
}

/** Approvals that count now, by step: of this version, under this version of the policy, by people who still may. */
export function standing(model: Model, request: ModelRequest, escalated: boolean): { readonly given: Set<Name>[]; readonly current: number } {
  const given = model.policy.steps.map((step, index) => {
    const people = eligible(model, step, escalated)
    const counted = request.approvals.filter(
      (made) => made.step === index && made.version === request.version && made.policyVersion === model.policyVersion && people.has(made.who),
    )
    return new Set(counted.map(({ who }) => who))
  })
  return { given, current: model.policy.steps.findIndex(({ needed }, index) => (given[index] as Set<Name>).size < needed) }
}

/** Whether different people can be found for every step: by trying everybody. */
export function reachable(model: Model, used: readonly Name[] = [], at = 0): boolean {
  const step = model.policy.steps[at]
  if (step === undefined) return true
  const people = [...eligible(model, step, false)]
  const choose = (left: number, taken: readonly Name[]): boolean =>
    left === 0 ? reachable(model, taken, at + 1) : people.some((who) => !taken.includes(who) && choose(left - 1, [...taken, who]))
  return choose(step.needed, used)
}

/** What the product says to an approval or a denial. */
export function expectedDecision(model: Model, request: ModelRequest, stored: AccessRequestView, who: Name, verdict: 'approve' | 'deny'): string {
  const people = model.policy.steps.map((step) => eligible(model, step, stored.escalated))
  if (!people.some((step) => step.has(who))) return 'forbidden'
  const isOver = request.over || stored.state === 'expired'
  const again = request.approvals.some((made) => made.who === who && made.version === request.version && made.policyVersion === model.policyVersion)
  if (isOver) return 'access-request-closed'
  if (verdict === 'deny' || again) return 'done'
  const { current } = standing(model, request, stored.escalated)
  return current === -1 || people[current]?.has(who) === true ? 'done' : 'forbidden'
}

/** The step that an accepted approval belongs to. */
export function stepOf(model: Model, request: ModelRequest, escalated: boolean, who: Name): number {
  const { current } = standing(model, request, escalated)
  return current === -1 ? model.policy.steps.findIndex((step) => eligible(model, step, escalated).has(who)) : current
}

/** What the product says to a checkout. */
export function expectedCheckout(model: Model, request: ModelRequest | undefined, stored: AccessRequestView | undefined, minutes: number): string {
  if (model.taken) return 'identity-checked-out'
  if (request === undefined || stored === undefined) return 'approval-required'
  if (request.over || stored.state === 'expired') return 'access-request-closed'
  if (minutes > request.minutes) return 'validation-failed'
  return request.approved && standing(model, request, stored.escalated).current === -1 ? 'done' : 'approvals-missing'
}

import { sql } from 'kysely'
import { LeaseholdError } from '#schemas/errors.ts'
import type { ApprovalPolicyId, IdentityId, OrganizationId, UserId } from '#schemas/ids.ts'
import { unreachable, type ApprovalStep } from '#schemas/rules/approval.ts'
import type { TimeWindow } from '#schemas/rules/time-window.ts'
import type { Transaction } from './connection.ts'

/** What holds for requests about an identity now: the policy of the identity, else of its vault, else the defaults. */
export interface ApprovalTerms {
  /** Null: there is none, and a policy of the account asks for the approval. */
  readonly policy: { readonly id: ApprovalPolicyId; readonly version: number } | null
  readonly timeoutMinutes: number
  readonly validityMinutes: number
  readonly maximumMinutes: number | null
  readonly escalateAfterMinutes: number | null
  readonly windows: readonly TimeWindow[]
  readonly steps: readonly ApprovalStep<UserId>[]
  /** Who may decide in every step once a request is escalated. */
  readonly escalation: ReadonlySet<UserId>
}

interface Row extends Omit<ApprovalTerms, 'policy' | 'steps' | 'escalation'> {
  readonly policyId: ApprovalPolicyId | null
  readonly policyVersion: number | null
  readonly steps: readonly { readonly step: number; readonly needed: number }[]
  readonly approvers: readonly ApproverRow[]
}

interface ApproverRow {
  readonly step: number | null
  readonly userId: UserId
}

/** @throws LeaseholdError `not-found` */
export async function readApprovalTerms(trx: Transaction, identityId: IdentityId): Promise<ApprovalTerms> {
  const { rows } = await sql<Row>`
    select p.id as "policyId", p.version as "policyVersion", coalesce(p.timeout_minutes, 1440) as "timeoutMinutes",
      coalesce(p.validity_minutes, 480) as "validityMinutes", p.maximum_minutes as "maximumMinutes", p.escalate_after_minutes as "escalateAfterMinutes",
      coalesce(p.windows, '[]') as windows,
      coalesce((select jsonb_agg(jsonb_build_object('step', s.step, 'needed', s.needed) order by s.step) from approval_step s where s.policy_id = p.id),
        '[{"step": 1, "needed": 1}]') as steps,
      coalesce((select jsonb_agg(jsonb_build_object('step', a.step, 'userId', a.user_id)) from approvers_of(p.id, i.organization_id) a), '[]') as approvers
    from identity i left join approval_policy_of(i.id) p on true where i.id = ${identityId}::uuid`.execute(trx)
  const [row] = rows
  if (row === undefined) throw new LeaseholdError('not-found')
  const { policyId, policyVersion, steps, approvers, ...terms } = row
  return {
    ...terms,
    policy: policyId === null || policyVersion === null ? null : { id: policyId, version: policyVersion },
    steps: steps.map(({ step, needed }) => ({ needed, people: peopleOf(approvers, step) })),
    escalation: peopleOf(approvers, null),
  }
}

const peopleOf = (approvers: readonly ApproverRow[], of: number | null): ReadonlySet<UserId> =>
  new Set(approvers.filter(({ step }) => step === of).map(({ userId }) => userId))

/** The steps of a stored policy with the people who may approve in them now. */
export async function approvalSteps(trx: Transaction, policyId: ApprovalPolicyId, organizationId: OrganizationId): Promise<ApprovalStep<UserId>[]> {
  const { rows } = await sql<{ needed: number; people: UserId[] }>`
    select s.needed, array(select a.user_id from approvers_of(s.policy_id, ${organizationId}::uuid) a where a.step = s.step) as people
    from approval_step s where s.policy_id = ${policyId}::uuid order by s.step`.execute(trx)
  return rows.map(({ needed, people }) => ({ needed, people: new Set(people) }))
}

/** @throws LeaseholdError `quorum-unreachable` when fewer people may approve than must, each of them in one step only */
export function refuseUnreachable(steps: readonly ApprovalStep<UserId>[]): void {
  const short = unreachable(steps)
  if (short === 0) return
  const total = steps.reduce((sum, { needed }) => sum + needed, 0)
  throw new LeaseholdError('quorum-unreachable', {
    detail: `Not enough people may approve this: ${total} different approvers are needed, ${total - short} can be found`,
  })
}

import { z } from 'zod'
import { ApprovalPolicyId, IdentityId, OrganizationId, Uuid, VaultId } from './ids.ts'
import { PageQuery } from './page.ts'
import { maximumMinutes, minimumMinutes } from './rules/lease.ts'
import { days } from './rules/time-window.ts'
import { moment } from './text.ts'

const user = z.strictObject({ type: z.literal('user'), id: Uuid.meta({ description: 'A directory record, or the user that is linked to it' }) })
const group = z.strictObject({ type: z.literal('group'), id: Uuid })
const permission = z.strictObject({ type: z.literal('permission') }).meta({ description: 'Whoever holds pam_requests.approve in the organization' })

/** Who may approve. */
const Approver = z.discriminatedUnion('type', [user, group, permission])
export type Approver = z.infer<typeof Approver>
const approvers = z.array(Approver).min(1).max(20)

const Step = z.strictObject({
  approvers,
  needed: z.int().min(1).max(10).default(1).meta({ description: 'Different people who must approve; each counts for one step only' }),
})

/** Thirty days. */
const longest = 43_200
const time = /^([01]\d|2[0-3]):[0-5]\d$|^24:00$/

const Window = z
  .strictObject({
    days: z.array(z.enum(days)).min(1).max(7),
    from: z.string().regex(time),
    to: z.string().regex(time).meta({ description: 'After `from`, on the same day; `24:00` is its end' }),
    timeZone: z.string().max(64).refine(isTimeZone, { error: 'must be an IANA time zone' }),
  })
  .refine(({ from, to }) => from < to, { path: ['to'], error: 'must be after from; a window over midnight is two windows' })

const Escalation = z.strictObject({
  afterMinutes: z.int().min(1).max(longest).meta({ description: 'From the opening of the request; shorter than the timeout' }),
  approvers: approvers.meta({ description: 'They may decide in every step from then on' }),
})

const settings = {
  required: z.boolean().meta({ description: 'False: it only says who approves when a policy of the account asks for an approval' }),
  steps: z.array(Step).min(1).max(5).meta({ description: 'One after the other' }),
  timeoutMinutes: z.int().min(5).max(longest).meta({ description: 'A request that is not decided by then has expired' }),
  validityMinutes: z.int().min(5).max(longest).meta({ description: 'How long an approval can be used' }),
  maximumMinutes: z.int().min(minimumMinutes).max(maximumMinutes).nullable().meta({ description: 'Longest lease that may be asked for' }),
  escalation: Escalation.nullable(),
  windows: z.array(Window).max(20).meta({ description: 'When an approval can be used; empty: at any time. A lease ends with its window' }),
}

/** Who must agree before an identity is checked out: of a vault, or of one identity, for which it holds in place of the vault's. */
export const CreateApprovalPolicy = z
  .strictObject({
    identityGroupId: VaultId.optional(),
    identityId: IdentityId.optional(),
    ...settings,
    required: settings.required.default(true),
    timeoutMinutes: settings.timeoutMinutes.default(1_440),
    validityMinutes: settings.validityMinutes.default(480),
    maximumMinutes: settings.maximumMinutes.default(null),
    escalation: settings.escalation.default(null),
    windows: settings.windows.default([]),
  })
  .refine(({ identityGroupId, identityId }) => (identityGroupId === undefined) !== (identityId === undefined), {
    path: ['identityGroupId'],
    error: 'exactly one of identityGroupId and identityId must be given',
  })
  .meta({
    examples: [{ identityGroupId: '01980000-0000-7000-8000-000000000002', steps: [{ approvers: [{ type: 'permission' }], needed: 2 }] }],
  })
export type CreateApprovalPolicy = z.infer<typeof CreateApprovalPolicy>

const Settings = z.strictObject(settings)
export const ChangeApprovalPolicy = Settings.partial()
export type ChangeApprovalPolicy = z.infer<typeof ChangeApprovalPolicy>

/** What a policy says, without whose it is. */
export type ApprovalSettings = z.infer<typeof Settings>

export const ApprovalPolicy = z.object({
  id: ApprovalPolicyId,
  organizationId: OrganizationId,
  identityGroupId: VaultId.nullable(),
  identityId: IdentityId.nullable(),
  ...settings,
  version: z.int().meta({ description: 'The ETag. Decisions that were made under an older version count no more' }),
  createdAt: moment,
})
export type ApprovalPolicy = z.infer<typeof ApprovalPolicy>

export const ApprovalPolicyQuery = PageQuery.extend({ identityGroupId: VaultId.optional(), identityId: IdentityId.optional() })

function isTimeZone(value: string): boolean {
  try {
    // Offsets like +02:00 are taken too, but are no place with a clock.
    return /^[A-Za-z]/.test(value) && new Intl.DateTimeFormat('en', { timeZone: value }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}

import { z } from 'zod'
import { AccessRequestId, HostId, IdentityId, LeaseId, OrganizationId, UserId, VaultId } from './ids.ts'
import { Reason } from './lease.ts'
import { PageQuery } from './page.ts'
import { maximumMinutes, minimumMinutes } from './rules/lease.ts'
import { moment } from './text.ts'
import { Ticket } from './ticket.ts'

export const AccessRequestState = z.enum(['pending', 'approved', 'denied', 'expired', 'cancelled', 'used'])
export const Verdict = z.enum(['approve', 'deny'])
export type Verdict = z.infer<typeof Verdict>

/** An edit asks anew: decisions that were made before count no more. */
export const ChangeAccessRequest = z
  .strictObject({
    reason: Reason.optional(),
    ticket: Ticket.nullable().optional(),
    durationMinutes: z.int().min(minimumMinutes).max(maximumMinutes).optional(),
    hostId: HostId.nullable().optional(),
  })
  .meta({ examples: [{ durationMinutes: 30 }] })
export type ChangeAccessRequest = z.infer<typeof ChangeAccessRequest>

const comment = Reason.nullish().meta({ description: 'The requester and the other approvers see it' })
export const DecisionBody = z
  .strictObject({
    verdict: Verdict,
    version: z.int().min(1).meta({ description: 'The version of the request that you saw; 412 when it is another one by now' }),
    comment,
  })
  .meta({ examples: [{ verdict: 'approve', version: 1, comment: 'As agreed on the phone' }] })

export const LinkBody = z
  .strictObject({ token: z.string().min(1).max(1_000).meta({ description: 'From the fragment of the link' }), comment })
  .meta({ examples: [{ token: 'WyIwMTk4MDAwMC0u.c2ln', comment: 'As agreed on the phone' }] })

const Decision = z.strictObject({
  userId: UserId,
  name: z.string().nullable(),
  step: z.int(),
  verdict: Verdict,
  comment: z.string().nullable(),
  decidedAt: moment,
  version: z.int().meta({ description: 'The version of the request that was decided on' }),
  counts: z.boolean().meta({ description: 'False: the request or the policy has changed, or the approver has lost the right' }),
})

export const AccessRequest = z.strictObject({
  id: AccessRequestId,
  organizationId: OrganizationId,
  identityGroupId: VaultId,
  identityId: IdentityId,
  hostId: HostId.nullable(),
  requester: z.strictObject({ id: UserId, name: z.string().nullable() }),
  state: AccessRequestState,
  reason: z.string(),
  ticket: z.string().nullable(),
  durationMinutes: z.int(),
  version: z.int().meta({ description: 'The ETag. Grows with every edit' }),
  openedAt: moment,
  expiresAt: moment.meta({ description: 'Pending: the last moment for decisions. Approved: the last moment for the checkout' }),
  escalated: z.boolean(),
  approvedAt: moment.nullable(),
  closedAt: moment.nullable(),
  leaseId: LeaseId.nullable().meta({ description: 'The lease that it was used for' }),
  steps: z.array(z.strictObject({ needed: z.int(), given: z.int().meta({ description: 'Approvals that count now' }) })),
  decisions: z.array(Decision),
  mayDecide: z.boolean().meta({ description: 'Whether the caller may approve or deny it now' }),
})
export type AccessRequest = z.infer<typeof AccessRequest>

export const AccessRequestAnswer = z.strictObject({ accessRequest: AccessRequest })
/** As an item, and once more as the verbs answer it: what reads the one answer reads the other. */
export const AccessRequestItem = AccessRequest.extend({ accessRequest: AccessRequest })

export const AccessRequestQuery = PageQuery.extend({
  state: AccessRequestState.optional(),
  identityId: IdentityId.optional(),
  identityGroupId: VaultId.optional(),
  userId: UserId.optional().meta({ description: 'The requester' }),
  show: z.enum(['own', 'decidable']).optional().meta({ description: '`own`: your requests; `decidable`: those that wait for your decision' }),
})

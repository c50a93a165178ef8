import { z } from 'zod'
import { AccessRequestId, HostId, IdentityId, LeaseId, OrganizationId, RotationId, UserId, VaultId } from './ids.ts'
import { PageQuery } from './page.ts'
import { maximumMinutes, minimumMinutes } from './rules/lease.ts'
import { text } from './text.ts'
import { Ticket } from './ticket.ts'

/** Why somebody needs it: 1-500 characters, at least one of them visible (S2 "Checking out credentials"). */
export const Reason = text(1, 500).refine((value) => value === '' || /[^\p{White_Space}\p{Cf}]/u.test(value), { error: 'must not be blank' })

const minutes = z.number().int().min(minimumMinutes).max(maximumMinutes)

export const CheckoutBody = z
  .strictObject({
    reason: Reason,
    durationMinutes: minutes.meta({ description: 'The lease ends by itself after so many minutes, or earlier when the access of the holder ends' }),
    hostId: HostId.nullish().meta({ description: 'A host of the identity; needed when its hosts hold different passwords' }),
    ticket: Ticket.nullish(),
    requestId: AccessRequestId.nullish().meta({ description: 'An approved access request of yours for this identity and host; it is used up' }),
  })
  .meta({ examples: [{ reason: 'INC-2041: restore of the orders table', durationMinutes: 60 }] })

export const ExtendBody = z
  .strictObject({
    minutes: z.number().int().min(1).max(maximumMinutes).meta({ description: 'Added to the present end; a lease lasts at most 1440 minutes in all' }),
  })
  .meta({ examples: [{ minutes: 15 }] })
export const ForceCheckinBody = z.strictObject({ reason: Reason }).meta({ examples: [{ reason: 'The holder has left for the day' }] })
export const RevealBody = z.strictObject({ reason: Reason.optional(), hostId: HostId.nullish() })

export const Lease = z.strictObject({
  id: LeaseId,
  organizationId: OrganizationId,
  identityGroupId: VaultId,
  identityId: IdentityId,
  hostId: HostId.nullable(),
  mode: z.enum(['standard', 'break_glass', 'support']),
  state: z.enum(['active', 'ended']),
  holder: z.strictObject({ id: UserId, name: z.string().nullable() }),
  reason: z.string().nullable().meta({ description: 'Null: only the holder, pam_vaults.manage and pam_audit.view see it' }),
  ticket: z.string().nullable().meta({ description: 'The case elsewhere that it is for' }),
  durationMinutes: z.int().meta({ description: 'As asked for' }),
  startedAt: z.iso.datetime(),
  expiresAt: z.iso.datetime(),
  endedAt: z.iso.datetime().nullable(),
  endCause: z.enum(['checked_in', 'expired', 'forced', 'revoked', 'grant_ended', 'emergency', 'superseded']).nullable(),
  endedBy: UserId.nullable(),
  credentialVersion: z.int(),
  requestId: AccessRequestId.nullable().meta({ description: 'The access request that was used for it' }),
  rotationId: RotationId.nullable().meta({ description: 'The rotation that the end of this lease owes' }),
  version: z.int().meta({ description: 'Grows with every change of expiresAt' }),
})
export type Lease = z.infer<typeof Lease>

const Credential = z.strictObject({ username: z.string(), value: z.string() })
/** One of several values of which nobody knows which one logs in. */
export const PossibleCredential = Credential.extend({
  version: z.int(),
  label: z.enum(['current', 'staged']).meta({ description: '`staged`: a rotation is setting it right now, or nobody knows whether it did' }),
  hostIds: z.array(HostId).meta({ description: 'Where it may log in; empty: the identity has no hosts' }),
})
export const LeaseAnswer = z.strictObject({ lease: Lease })
/** A lease as an item, and once more as the verbs answer it: what reads the one answer reads the other. */
export const LeaseItem = Lease.extend({ lease: Lease })
export const CheckoutAnswer = z.strictObject({
  lease: Lease,
  credential: Credential.nullable().meta({ description: 'Null: the identity is inject-only, or the retried lease has ended' }),
})
export const CredentialAnswer = Credential.extend({
  alsoPossible: z
    .array(PossibleCredential)
    .optional()
    .meta({ description: 'Under a break-glass lease: others that may log in, while a rotation is under way or hosts hold different passwords' }),
})
export const RevealAnswer = z.strictObject({ username: z.string(), value: z.string(), clearAfterSeconds: z.int() })

export const LeaseQuery = PageQuery.extend({
  identityId: IdentityId.optional(),
  identityGroupId: VaultId.optional(),
  userId: UserId.optional(),
  state: z.enum(['active', 'ended']).optional(),
  mode: Lease.shape.mode.optional(),
})

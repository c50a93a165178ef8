import { z } from 'zod'
import { UserId, Uuid } from './ids.ts'
import { permissions } from './principal.ts'
import { moment, name, text } from './text.ts'

const reason = text(1, 500)

/** Opens, changes or closes the window in which support staff may come in (S2 "Support access workflow"). */
export const PutSupportAccess = z
  .strictObject({
    enabled: z.boolean(),
    reason: reason.optional().meta({ description: 'Required to enable; those who are told of it do not see it' }),
    expiresInDays: z.int().min(1).max(365).optional().meta({ description: 'From now; absent: until somebody disables it' }),
  })
  .meta({ examples: [{ enabled: true, reason: 'Ticket 4711: vendor looks at the failed rotations', expiresInDays: 7 }] })
export type PutSupportAccess = z.infer<typeof PutSupportAccess>

export const EmergencyDisable = z.strictObject({ reason: reason.optional() })

export const SupportAccess = z.strictObject({
  enabled: z.boolean(),
  id: Uuid.nullable().meta({ description: 'Of the window that is open, or of the last one; null: there was none' }),
  reason: z.string().nullable(),
  enabledBy: UserId.nullable(),
  enabledAt: moment.nullable(),
  expiresAt: moment.nullable().meta({ description: 'null: until somebody disables it' }),
  endedAt: moment.nullable(),
  endCause: z.enum(['disabled', 'expired', 'emergency']).nullable(),
  permissions: z
    .array(z.enum(permissions))
    .meta({ description: 'What support staff may do in the whole account while it is enabled; vault access is granted to them as to anybody' }),
})
export type SupportAccess = z.infer<typeof SupportAccess>

/** Names one of the support staff: they come in with tokens of this `sub`, and only while the window is open. */
export const CreateSupportUser = z.strictObject({
  sub: z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/)
    .meta({ description: 'The `sub` of their access tokens at the support issuer, or at the issuer where there is none' }),
  email: z.email().max(254),
  name: name.optional(),
})
export type CreateSupportUser = z.infer<typeof CreateSupportUser>

export const SupportUser = z.strictObject({
  id: UserId,
  iss: z.string(),
  sub: z.string(),
  email: z.string(),
  name: z.string().nullable(),
  idpUserId: Uuid.meta({ description: 'Vault access is granted to this record' }),
  state: z.enum(['active', 'disabled']),
  createdAt: moment,
})
export type SupportUser = z.infer<typeof SupportUser>

import { z } from 'zod'
import { UserId, Uuid, VaultId } from './ids.ts'
import { moment } from './text.ts'

/** Whom something is given to: a record of the directory, or the user that is linked to it. */
export const PrincipalRef = z.strictObject({ type: z.enum(['user', 'group']), id: Uuid })
export type PrincipalRef = z.infer<typeof PrincipalRef>

const level = z.enum(['view_vault', 'view_credentials', 'checkout'])

/** Vault access for a user or group of the identity provider (S2 "Granting vault access"). */
export const CreateGrant = z
  .strictObject({
    principal: PrincipalRef,
    level,
    expiresAt: moment.nullable().optional().meta({ description: 'When the access ends by itself; must be in the future' }),
  })
  .meta({ examples: [{ principal: { type: 'group', id: '01980000-0000-7000-8000-000000000005' }, level: 'checkout', expiresAt: '2099-12-31T23:59:59Z' }] })
export type CreateGrant = z.infer<typeof CreateGrant>

export const Grant = z.object({
  id: Uuid,
  identityGroupId: VaultId,
  principal: z.object({ ...PrincipalRef.shape, name: z.string() }),
  level,
  expiresAt: moment.nullable(),
  state: z.enum(['active', 'expired', 'revoked']),
  validFrom: moment,
  validTo: moment.nullable(),
  createdBy: UserId,
})
export type Grant = z.infer<typeof Grant>

/** A user or group that vault access can be given to. */
export const PrincipalEntry = z.object({ type: z.enum(['user', 'group']), id: Uuid, name: z.string(), email: z.string().nullable() })
export type PrincipalEntry = z.infer<typeof PrincipalEntry>

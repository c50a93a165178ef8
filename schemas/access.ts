import { z } from 'zod'
import { UserId, Uuid, VaultId } from './ids.ts'
import { permissions } from './principal.ts'
import { moment } from './text.ts'

const named = z.object({ id: Uuid, name: z.string() })

/** One reason why somebody has access. */
const through = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('role'),
    assignmentId: Uuid,
    role: named,
    owner: z.boolean(),
    permissions: z.array(z.enum(permissions)),
    group: named.nullable(),
  }),
  z.object({
    type: z.literal('grant'),
    grantId: Uuid,
    level: z.enum(['view_vault', 'view_credentials', 'checkout']),
    group: named.nullable(),
    endsAt: moment.nullable(),
  }),
  z.object({
    type: z.literal('support'),
    windowId: Uuid,
    permissions: z.array(z.enum(permissions)),
    endsAt: moment.nullable(),
  }),
])
export type Through = z.infer<typeof through>

const actions = z
  .array(z.string())
  .meta({ description: 'What permissions and grants permit: `x-leasehold-action` of the OpenAPI document. Policies may deny it still' })

/** What one user can do in a vault, and through what. */
export const UserAccess = z.object({
  user: z.object({ id: UserId, name: z.string().nullable(), email: z.string().nullable() }),
  actions,
  through: z.array(through),
})
export type UserAccess = z.infer<typeof UserAccess>

/** What the caller can do in one vault, and through what. */
export const OwnAccess = z.object({ identityGroup: z.object({ id: VaultId, name: z.string() }), actions, through: z.array(through) })
export type OwnAccess = z.infer<typeof OwnAccess>

import { z } from 'zod'
import { AccountId, OrganizationId, UserId, Uuid, VaultId } from './ids.ts'
import { permissions } from './principal.ts'

/** Who the caller is and what follows from it. */
export const Me = z.strictObject({
  user: z.strictObject({
    id: UserId,
    name: z.string().nullable(),
    email: z.string().nullable(),
    iss: z.string(),
    sub: z.string(),
    idpUserId: Uuid.nullable(),
  }),
  account: z.strictObject({ id: AccountId, name: z.string() }),
  owner: z.boolean(),
  /** Names of permissions, in the whole account or in some organization. */
  permissions: z.array(z.enum(permissions)),
  roles: z.array(z.strictObject({ permission: z.enum(permissions), organizationId: OrganizationId.nullable() })),
  grants: z.array(
    z.strictObject({
      id: Uuid,
      identityGroupId: VaultId,
      level: z.enum(['view_vault', 'view_credentials', 'checkout']),
      expiresAt: z.iso.datetime().nullable(),
    }),
  ),
})

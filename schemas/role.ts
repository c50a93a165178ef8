import { z } from 'zod'
import { PrincipalRef } from './grant.ts'
import { OrganizationId, UserId, Uuid } from './ids.ts'
import { permissions } from './principal.ts'
import { moment, name, text } from './text.ts'

const permissionList = z
  .array(z.enum(permissions))
  .max(permissions.length)
  .refine((list) => new Set(list).size === list.length, { error: 'must name each permission once' })
  .meta({ uniqueItems: true })

/** A named set of permissions. */
export const CreateRole = z.strictObject({ name, description: text(0, 2000).nullable().optional(), permissions: permissionList })
export type CreateRole = z.infer<typeof CreateRole>

export const ChangeRole = CreateRole.partial()
export type ChangeRole = z.infer<typeof ChangeRole>

export const Role = z.object({
  id: Uuid,
  name: z.string(),
  description: z.string().nullable(),
  owner: z.boolean().meta({ description: 'The role of account owners: every permission; it cannot be changed or deleted' }),
  permissions: z.array(z.enum(permissions)),
  version: z.number().int().meta({ description: 'The ETag' }),
  createdAt: moment,
})
export type Role = z.infer<typeof Role>

/** Gives a role to a user or group, in one organization or in the whole account. */
export const CreateRoleAssignment = z.strictObject({
  principal: PrincipalRef,
  organizationId: OrganizationId.nullable().optional().meta({ description: 'Where the role holds; null: in the whole account' }),
})
export type CreateRoleAssignment = z.infer<typeof CreateRoleAssignment>

export const RoleAssignment = z.object({
  id: Uuid,
  roleId: Uuid,
  principal: z.object({ ...PrincipalRef.shape, name: z.string() }),
  organizationId: OrganizationId.nullable(),
  state: z.enum(['active', 'ended']),
  validFrom: moment,
  validTo: moment.nullable(),
  createdBy: UserId.nullable(),
})
export type RoleAssignment = z.infer<typeof RoleAssignment>

import type { Generated } from 'kysely'
import type { AccountId, OrganizationId, UserId } from '#schemas/ids.ts'
import type { AccessState, Id, Account, Moment } from './columns.ts'

/** Users, the directory, and roles: columns of store/migrations. */

export interface AccountUserTable {
  account_id: Account
  id: Id<UserId>
  iss: string
  sub: string
  email: string | null
  name: string | null
  state: Generated<AccessState>
  version: Generated<number>
  created_at: Generated<Date>
}
export interface LoginTable {
  iss: string
  sub: string
  account_id: AccountId
  user_id: UserId
}
export interface IdpUserTable {
  account_id: Account
  id: Id<string>
  email: string
  name: string | null
  user_id: UserId | null
  state: Generated<AccessState>
  linked_at: Moment
}
export interface IdpGroupTable {
  account_id: Account
  id: Id<string>
  name: string
}
export interface IdpGroupMemberTable {
  account_id: Account
  id: Id<string>
  group_id: string
  idp_user_id: string
  valid_from: Generated<Date>
  valid_to: Moment
}
export interface RoleTable {
  account_id: Account
  id: Id<string>
  name: string
  owner: Generated<boolean>
}
export interface RolePermissionTable {
  account_id: Account
  role_id: string
  permission: string
}
export interface RoleAssignmentTable {
  account_id: Account
  id: Id<string>
  role_id: string
  user_id: UserId | null
  idp_group_id: string | null
  organization_id: OrganizationId | null
  valid_from: Generated<Date>
  valid_to: Moment
}

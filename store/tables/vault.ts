import type { Generated } from 'kysely'
import type { OrganizationId, UserId, VaultId } from '#schemas/ids.ts'
import type { Id, Account, Moment } from './columns.ts'

/** Vaults and the access to them: columns of store/migrations. */

export interface VaultTable {
  account_id: Account
  id: Id<VaultId>
  organization_id: OrganizationId
  name: string
  description: string | null
  salt: Buffer
  version: Generated<number>
  created_at: Generated<Date>
  deleted_at: Moment
}
export type GrantLevel = 'view_vault' | 'view_credentials' | 'checkout'
export interface VaultGrantTable {
  account_id: Account
  id: Id<string>
  vault_id: VaultId
  idp_user_id: string | null
  idp_group_id: string | null
  level: GrantLevel
  expires_at: Moment
  valid_from: Generated<Date>
  valid_to: Moment
  created_by: UserId
}

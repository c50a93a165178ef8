import type { Generated } from 'kysely'
import type { AccountId, OrganizationId } from '#schemas/ids.ts'
import type { Id, Account, Moment } from './columns.ts'

/** Accounts and organizations: columns of store/migrations. */

export interface AccountTable {
  id: Id<AccountId>
  name: string
  created_at: Generated<Date>
}

export interface OrganizationTable {
  account_id: Account
  id: Id<OrganizationId>
  name: string
  secret_version: number | null
  maximum_lease_minutes: number | null
  break_glass_maximum_minutes: Generated<number>
  break_glass_grace_minutes: Generated<number>
  rotation_limit_minutes: Generated<number>
  break_glass_without_provider: Generated<boolean>
  legacy_open: Generated<boolean>
  legacy_closed_at: Moment
  version: Generated<number>
  created_at: Generated<Date>
}
export interface OrganizationSecretTable {
  account_id: Account
  organization_id: OrganizationId
  version: number
  created_at: Generated<Date>
}

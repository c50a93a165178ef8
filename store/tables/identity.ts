import type { ColumnType, Generated } from 'kysely'
import type { ConnectorId, HostId, IdentityId, OrganizationId, RotationId, VaultId } from '#schemas/ids.ts'
import type { HostState } from '#schemas/states.ts'
import type { AccessState, Id, Account, Moment, Json } from './columns.ts'

/** Identities, hosts, and stored values: columns of store/migrations. */

export interface IdentityTable {
  account_id: Account
  id: Id<IdentityId>
  organization_id: OrganizationId
  vault_id: VaultId
  name: string
  username: string
  credential_type: 'password' | 'ssh_key' | 'api_key' | 'other'
  rotation_interval_days: number | null
  rotate_after_use: Generated<boolean>
  rotate_after_access_loss: Generated<boolean>
  check_interval_hours: number | null
  reconcile_drift: Generated<boolean>
  allow_concurrent_checkout: Generated<boolean>
  max_concurrent_sessions: number | null
  exposure: Generated<'revealable' | 'inject_only'>
  after_use_grace_minutes: number | null
  password_policy: Json<unknown> | null
  state: Generated<AccessState>
  current_version: Generated<number>
  epoch: ColumnType<string, number | string | undefined, number | string>
  draining_since: Moment
  next_rotation_at: Moment
  next_check_at: Moment
  last_rotated_at: Moment
  version: Generated<number>
  created_at: Generated<Date>
  deleted_at: Moment
}
export interface HostTable {
  account_id: Account
  id: Id<HostId>
  organization_id: OrganizationId
  name: string
  address: string
  port: number
  adapter: 'postgres' | 'ssh' | 'mysql' | 'ldap'
  connector_id: ConnectorId
  admin_identity_id: IdentityId | null
  parameters: Json<Record<string, unknown>>
  version: Generated<number>
  created_at: Generated<Date>
  deleted_at: Moment
}
export interface IdentityHostTable {
  account_id: Account
  identity_id: IdentityId
  host_id: HostId
  known_version: number
  sync: Generated<HostState>
  checked_at: Moment
  unreachable_since: Moment
}
export interface CredentialVersionTable {
  account_id: Account
  identity_id: IdentityId
  version: number
  encryption_version: 0 | 1 | 2
  key_id: string
  ciphertext: Buffer | null
  rotation_id: RotationId | null
  public_key: string | null
  created_at: Generated<Date>
}
export interface PasswordHistoryTable {
  account_id: Account
  identity_id: IdentityId
  version: number
  hash: Buffer
  key_id: string
  vault_id: VaultId
  stored_at: Generated<Date>
}

import type { ColumnType, Generated, GeneratedAlways } from 'kysely'
import type { HostId, IdentityId, LeaseId, OrganizationId, RotationId, UserId, VaultId } from '#schemas/ids.ts'
import type { LeaseEndCause, LeaseMode, LeaseState } from '#schemas/states.ts'
import type { Account, Time, Moment } from './columns.ts'

/** Leases, their terms, and what was shown under them: columns of store/migrations. */

export interface LeaseTable {
  account_id: Account
  id: LeaseId
  organization_id: OrganizationId
  vault_id: VaultId
  identity_id: IdentityId
  host_id: HostId | null
  user_id: UserId
  mode: Generated<LeaseMode>
  state: Generated<LeaseState>
  slot: number
  fence: ColumnType<string, number | string, never>
  version: Generated<number>
  credential_version: number
  requested_minutes: number
  started_at: Time
  expires_at: Time
  grant_ends_at: Moment
  superseded_at: Moment
  ended_at: Moment
  end_cause: LeaseEndCause | null
  ended_by: UserId | null
  rotation_id: RotationId | null
  reason_ciphertext: Buffer
  reason_key_id: string
  request_hash: Buffer
}
export interface LeaseTermTable {
  account_id: Account
  lease_id: LeaseId
  version: number
  expires_at: Time
  set_at: Time
}
export interface ExposureTable {
  account_id: Account
  id: GeneratedAlways<string>
  identity_id: IdentityId
  host_id: HostId | null
  version: number
  user_id: UserId
  lease_id: LeaseId | null
  exposed_at: Generated<Date>
  must_die_at: Moment
  lost_access: Generated<boolean>
}

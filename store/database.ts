import type { ColumnType, Generated, GeneratedAlways } from 'kysely'
import type { AccountId, ConnectorId, HostId, IdentityId, JobId, LeaseId, OrganizationId, RotationId, UserId, VaultId } from '#schemas/ids.ts'
import type { HostState, JobKind, JobState, LeaseEndCause, LeaseMode, LeaseState, RotationPhase, RotationState, RotationTrigger } from '#schemas/states.ts'

/** Column types of the tables in store/migrations; nothing but types. account_id is always the transaction's account. */

type Id<T> = ColumnType<T, T | undefined, never>
type Account = ColumnType<AccountId, AccountId | undefined, never>
type Time = ColumnType<Date, Date | undefined, Date>
type Moment = ColumnType<Date | null, Date | null | undefined, Date | null>
type Json<T> = ColumnType<T, string, string>

interface AccountTable {
  id: Id<AccountId>
  name: string
  created_at: Generated<Date>
}

interface OrganizationTable {
  account_id: Account
  id: Id<OrganizationId>
  name: string
  secret_version: number | null
  maximum_lease_minutes: number | null
  break_glass_maximum_minutes: Generated<number>
  legacy_open: Generated<boolean>
  version: Generated<number>
  created_at: Generated<Date>
}
interface OrganizationSecretTable {
  account_id: Account
  organization_id: OrganizationId
  version: number
  created_at: Generated<Date>
}

type AccessState = 'active' | 'disabled'
interface AccountUserTable {
  account_id: Account
  id: Id<UserId>
  iss: string
  sub: string
  email: string | null
  name: string | null
  state: Generated<AccessState>
  created_at: Generated<Date>
}
interface LoginTable {
  iss: string
  sub: string
  account_id: AccountId
  user_id: UserId
}
interface IdpUserTable {
  account_id: Account
  id: Id<string>
  email: string
  name: string | null
  user_id: UserId | null
  state: Generated<AccessState>
  linked_at: Moment
}
interface IdpGroupTable {
  account_id: Account
  id: Id<string>
  name: string
}
interface IdpGroupMemberTable {
  account_id: Account
  id: Id<string>
  group_id: string
  idp_user_id: string
  valid_from: Generated<Date>
  valid_to: Moment
}
interface RoleTable {
  account_id: Account
  id: Id<string>
  name: string
  owner: Generated<boolean>
}
interface RolePermissionTable {
  account_id: Account
  role_id: string
  permission: string
}
interface RoleAssignmentTable {
  account_id: Account
  id: Id<string>
  role_id: string
  user_id: UserId | null
  idp_group_id: string | null
  organization_id: OrganizationId | null
  valid_from: Generated<Date>
  valid_to: Moment
}

interface VaultTable {
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
interface VaultGrantTable {
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
interface ConnectorTable {
  account_id: Account
  id: Id<ConnectorId>
  organization_id: OrganizationId
  name: string
  state: Generated<'pending' | 'joining' | 'active' | 'revoked'>
  nkey: string | null
  encryption_jwk: Json<{ kty: 'OKP'; crv: 'X25519'; x: string; kid: string }> | null
  user_jwt: string | null
  user_jwt_expires_at: Moment
  instance: string | null
  build: string | null
  last_seen_at: Moment
  revoked_at: Moment
  version: Generated<number>
  created_at: Generated<Date>
}
interface JoinTokenTable {
  account_id: Account
  connector_id: ConnectorId
  hash: Buffer
  expires_at: Time
  used_at: Moment
  used_nkey: string | null
  created_at: Generated<Date>
}
interface NatsAccountTable {
  account_id: Account
  organization_id: OrganizationId
  public_key: string
  signing_key: string
  jwt: string
  revocations: Json<Record<string, number>>
  revision: Generated<number>
}

interface IdentityTable {
  account_id: Account
  id: Id<IdentityId>
  organization_id: OrganizationId
  vault_id: VaultId
  name: string
  username: string
  credential_type: 'password' | 'ssh_key' | 'api_key' | 'other'
  rotation_interval_days: number | null
  rotate_after_use: Generated<boolean>
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
  last_rotated_at: Moment
  version: Generated<number>
  created_at: Generated<Date>
  deleted_at: Moment
}
interface HostTable {
  account_id: Account
  id: Id<HostId>
  organization_id: OrganizationId
  name: string
  address: string
  port: number
  adapter: 'postgres' | 'ssh'
  connector_id: ConnectorId
  admin_identity_id: IdentityId | null
  parameters: Json<Record<string, unknown>>
  version: Generated<number>
  created_at: Generated<Date>
  deleted_at: Moment
}
interface IdentityHostTable {
  account_id: Account
  identity_id: IdentityId
  host_id: HostId
  known_version: number
  sync: Generated<HostState>
}
interface CredentialVersionTable {
  account_id: Account
  identity_id: IdentityId
  version: number
  encryption_version: 0 | 1 | 2
  key_id: string
  ciphertext: Buffer | null
  rotation_id: RotationId | null
  created_at: Generated<Date>
}
interface PasswordHistoryTable {
  account_id: Account
  identity_id: IdentityId
  version: number
  hash: Buffer
  key_id: string
  stored_at: Generated<Date>
}

interface LeaseTable {
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
  ended_at: Moment
  end_cause: LeaseEndCause | null
  ended_by: UserId | null
  rotation_id: RotationId | null
  reason_ciphertext: Buffer
  reason_key_id: string
  request_hash: Buffer
}
interface LeaseTermTable {
  account_id: Account
  lease_id: LeaseId
  version: number
  expires_at: Time
  set_at: Time
}
interface ExposureTable {
  account_id: Account
  id: GeneratedAlways<string>
  identity_id: IdentityId
  host_id: HostId | null
  version: number
  user_id: UserId
  lease_id: LeaseId | null
  exposed_at: Generated<Date>
  must_die_at: Moment
}

interface RotationTable {
  account_id: Account
  id: Id<RotationId>
  organization_id: OrganizationId
  vault_id: VaultId
  identity_id: IdentityId
  trigger: RotationTrigger
  state: Generated<RotationState>
  phase: Generated<RotationPhase>
  needs_attention: Generated<boolean>
  staged_version: number | null
  reason_class: string | null
  requested_by: UserId | null
  due_at: Moment
  started_at: Time
  finished_at: Moment
  version: Generated<number>
  request_hash: Buffer | null
}
interface JobTable {
  account_id: Account
  id: Id<JobId>
  organization_id: OrganizationId
  identity_id: IdentityId
  rotation_id: RotationId
  host_id: HostId
  connector_id: ConnectorId
  kind: Generated<JobKind>
  state: Generated<JobState>
  epoch: Generated<number>
  instance: string | null
  lease_until: Moment
  doubt_since: Moment
  attempts: Generated<number>
  next_at: Generated<Date>
  reason_class: string | null
  offered_at: Moment
  claimed_at: Moment
  finished_at: Moment
  created_at: Generated<Date>
}

interface AuditEventTable {
  account_id: Account
  id: Id<string>
  at: Generated<Date>
  actor_kind: 'user' | 'client' | 'connector' | 'workflow' | 'system'
  actor_id: string | null
  actor_iss: string | null
  actor_sub: string | null
  action: string
  purpose: string | null
  effect: 'permit' | 'deny'
  outcome: string
  organization_id: string | null
  vault_id: string | null
  identity_id: string | null
  host_id: string | null
  user_id: string | null
  lease_id: string | null
  rotation_id: string | null
  session_id: string | null
  request_id: string | null
  connector_id: string | null
  reason_ciphertext: Buffer | null
  reason_key_id: string | null
  requested_minutes: number | null
  expires_at: Moment
  break_glass: Generated<boolean>
  decision_id: string | null
  correlation_id: string | null
  trace_id: string | null
  ip: string | null
  user_agent: string | null
  resource_ref: string | null
  detail: Json<Record<string, unknown>> | null
}
interface AuditPendingTable {
  account_id: AccountId
  event_id: string
}

export type ObligationKind = 'lease' | 'rotation' | 'offer' | 'connector' | 'vault_access' | 'user_access' | 'reencryption'
interface ObligationTable {
  account_id: Account
  kind: ObligationKind
  subject_id: string
  version: Generated<number>
  delivered: Generated<number>
  closed: Generated<boolean>
  claimed_until: Moment
  attempts: Generated<number>
  next_at: Generated<Date>
  due_since: Generated<Date>
  quarantined_at: Moment
  last_error: string | null
}
interface RelayStateTable {
  singleton: Generated<boolean>
  last_temporal_call_at: Moment
  temporal_namespace_id: string | null
}
interface IdempotencyRecordTable {
  account_id: Account
  user_id: UserId
  key: string
  route: string
  request_hash: Buffer
  resource_id: string
  created_at: Generated<Date>
}

export interface Database {
  account: AccountTable
  organization: OrganizationTable
  organization_secret: OrganizationSecretTable
  account_user: AccountUserTable
  login: LoginTable
  idp_user: IdpUserTable
  idp_group: IdpGroupTable
  idp_group_member: IdpGroupMemberTable
  role: RoleTable
  role_permission: RolePermissionTable
  role_assignment: RoleAssignmentTable
  vault: VaultTable
  vault_grant: VaultGrantTable
  connector: ConnectorTable
  join_token: JoinTokenTable
  nats_account: NatsAccountTable
  identity: IdentityTable
  host: HostTable
  identity_host: IdentityHostTable
  credential_version: CredentialVersionTable
  password_history: PasswordHistoryTable
  lease: LeaseTable
  lease_term: LeaseTermTable
  exposure: ExposureTable
  rotation: RotationTable
  job: JobTable
  audit_event: AuditEventTable
  audit_pending: AuditPendingTable
  obligation: ObligationTable
  relay_state: RelayStateTable
  idempotency_record: IdempotencyRecordTable
}

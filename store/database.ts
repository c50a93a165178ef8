import type { AccountTable, OrganizationTable, OrganizationSecretTable } from './tables/account.ts'
import type {
  AccountUserTable,
  LoginTable,
  IdpUserTable,
  IdpGroupTable,
  IdpGroupMemberTable,
  RoleTable,
  RolePermissionTable,
  RoleAssignmentTable,
} from './tables/people.ts'
import type { VaultTable, VaultGrantTable } from './tables/vault.ts'
import type { ConnectorTable, JoinTokenTable, NatsAccountTable } from './tables/connector.ts'
import type { IdentityTable, HostTable, IdentityHostTable, CredentialVersionTable, PasswordHistoryTable } from './tables/identity.ts'
import type { LeaseTable, LeaseTermTable, ExposureTable } from './tables/lease.ts'
import type { RotationTable, JobTable } from './tables/rotation.ts'
import type { AuditEventTable, AuditPendingTable } from './tables/audit.ts'
import type { ObligationTable, RelayStateTable, IdempotencyRecordTable } from './tables/duty.ts'

/** Column types of the tables that queries are built on; nothing but types. */
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

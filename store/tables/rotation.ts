import type { Generated } from 'kysely'
import type { ConnectorId, HostId, IdentityId, JobId, OrganizationId, RotationId, UserId, VaultId } from '#schemas/ids.ts'
import type { JobKind, JobState, RotationPhase, RotationState, RotationTrigger } from '#schemas/states.ts'
import type { Id, Account, Time, Moment } from './columns.ts'

/** Rotations and their jobs: columns of store/migrations. */

export interface RotationTable {
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
  stuck_told_at: Moment
  version: Generated<number>
  request_hash: Buffer | null
}
export interface JobTable {
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
  refused_version: number | null
  reported_epochs: Generated<number[]>
  claimed_versions: Generated<(number | null)[]>
  offered_at: Moment
  claimed_at: Moment
  finished_at: Moment
  created_at: Generated<Date>
}

import type { ConnectorId, HostId, IdentityId, JobId, OrganizationId, RotationId, VaultId } from './ids.ts'
import type { JobKind, JobState, RotationPhase, RotationState, RotationTrigger } from './states.ts'

/** What a rotation is at one instant. Ids, versions, states and durations only: it stands in workflow histories. */
export interface RotationFacts {
  readonly rotationId: RotationId
  readonly organizationId: OrganizationId
  readonly vaultId: VaultId
  readonly identityId: IdentityId
  readonly trigger: RotationTrigger
  readonly state: RotationState
  readonly phase: RotationPhase
  readonly needsAttention: boolean
  readonly version: number
  /** The one value that this rotation may ever apply; null until it is staged. */
  readonly stagedVersion: number | null
  readonly reasonClass: string | null
  readonly startedAt: string
  readonly finishedAt: string | null
  /** ms until it has been pending for too long; null when people know, or it is over. Absent in histories from before it. */
  readonly stuckInMs?: number | null
  readonly jobs: readonly JobFacts[]
}

export interface JobFacts {
  readonly jobId: JobId
  readonly hostId: HostId
  readonly connectorId: ConnectorId
  readonly kind: JobKind
  readonly state: JobState
  /** Grows with every claim. */
  readonly epoch: number
  readonly attempts: number
  readonly reasonClass: string | null
  /** ms until the claim lapses; null when not claimed. Negative: lapsed. */
  readonly claimRemainingMs: number | null
  /** ms until the job may be offered; 0 when it may be offered now. */
  readonly nextInMs: number
  /** ms since nobody knows which version the host has; null when not in doubt. */
  readonly doubtForMs: number | null
}

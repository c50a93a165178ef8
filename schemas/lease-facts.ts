import type { HostId, IdentityId, LeaseId, OrganizationId, RotationId, UserId, VaultId } from './ids.ts'
import type { LeaseEndCause, LeaseMode, LeaseState, RotationState } from './states.ts'

/** What a lease is at one instant. Ids, versions, states and times only: it stands in workflow histories. Times are ISO 8601. */
export interface LeaseFacts {
  readonly leaseId: LeaseId
  readonly organizationId: OrganizationId
  readonly vaultId: VaultId
  readonly identityId: IdentityId
  readonly hostId: HostId | null
  readonly userId: UserId
  readonly mode: LeaseMode
  readonly state: LeaseState
  readonly slot: number
  /** Grows with every change of `expiresAt`. */
  readonly version: number
  readonly credentialVersion: number
  readonly requestedMinutes: number
  readonly startedAt: string
  readonly expiresAt: string
  /** ms until `expiresAt` by the clock of PostgreSQL; 0 when due. Timers use it, never `expiresAt`. */
  readonly remainingMs: number
  /** Every end that was promised, oldest first: more than one means extended. */
  readonly terms: readonly { readonly version: number; readonly expiresAt: string; readonly setAt: string }[]
  readonly endedAt: string | null
  readonly endCause: LeaseEndCause | null
  /** What was shown under this lease still logs in although it must not: a rotation is owed, inserted or not. */
  readonly rotationOwed: boolean
  /** The rotation that the end of this lease owes, once it is inserted. */
  readonly rotation: { readonly id: RotationId; readonly state: RotationState } | null
}

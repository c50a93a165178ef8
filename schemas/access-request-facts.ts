import type { IdentityId, VaultId } from './ids.ts'
import type { AccessRequestState } from './states.ts'

/** What an access request is at one instant. Ids, versions, states and times only: it stands in workflow histories. Times are ISO 8601. */
export interface AccessRequestFacts {
  readonly vaultId: VaultId
  readonly identityId: IdentityId
  readonly state: AccessRequestState
  /** Grows with every edit. */
  readonly version: number
  readonly openedAt: string
  readonly expiresAt: string
  /** ms until `expiresAt` by the clock of PostgreSQL; 0 when due. */
  readonly remainingMs: number
  /** ms until others are asked too; null: they never are, or have been. */
  readonly escalationMs: number | null
}

import type { IdentityId, LeaseId, OrganizationId, VaultId } from './ids.ts'
import type { Sealed } from './sealed.ts'

/** The re-encryption of an organization's values as it is now, for its workflow. */
export interface ReencryptionFacts {
  readonly organizationId: OrganizationId
  /** Version of the organization secret that everything is sealed under in the end. */
  readonly toVersion: number
  readonly state: 'running' | 'done'
}

/** Where a pass over the stored values stands: the last one that was looked at. Ids and versions only. */
export interface ReencryptionCursor {
  readonly identityId: IdentityId
  /** Version of a credential; 0: the reasons of leases follow. */
  readonly version: number
  readonly leaseId: LeaseId | null
}

/** One stored value under an older key. */
export interface StaleValue {
  readonly identityId: IdentityId
  readonly vaultId: VaultId
  readonly sealed: Sealed
  /** A version of the identity's credential, or the reason of a lease. */
  readonly of: { readonly version: number } | { readonly leaseId: LeaseId }
}

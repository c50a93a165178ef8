import type { IdentityId, OrganizationId, VaultId } from './ids.ts'
import type { Sealed } from './sealed.ts'

/** The re-encryption of an organization's values as it is now, for its workflow. */
export interface ReencryptionFacts {
  readonly organizationId: OrganizationId
  /** Version of the organization secret that everything is sealed under in the end. */
  readonly toVersion: number
  readonly state: 'running' | 'done'
}

/** What people wrote and lies sealed beside the credentials: table and column, in the order of a pass. */
export const sealedTexts = [
  'lease.reason',
  'access_request.reason',
  'access_decision.comment',
  'break_glass_review.justification',
  'break_glass_review.finding',
] as const
export type SealedText = (typeof sealedTexts)[number]

/** Where a pass over the stored values stands: the last one that was looked at. Ids and versions only. */
export type ReencryptionCursor = { readonly identityId: IdentityId; readonly version: number } | { readonly text: SealedText; readonly id: string | null }

/** One stored value under an older key. */
export interface StaleValue {
  readonly identityId: IdentityId
  readonly vaultId: VaultId
  readonly sealed: Sealed
  /** A version of the identity's credential, or a text in the row of this id. */
  readonly of: { readonly version: number } | { readonly text: SealedText; readonly id: string }
}

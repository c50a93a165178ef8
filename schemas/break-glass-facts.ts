import type { IdentityId, LeaseId, OrganizationId, VaultId } from './ids.ts'

/** The review of an emergency use as its workflow sees it. */
export interface BreakGlassReviewFacts {
  /** Of the lease. */
  readonly reviewId: LeaseId
  readonly organizationId: OrganizationId
  readonly vaultId: VaultId
  readonly identityId: IdentityId
  readonly state: 'open' | 'signed'
  /** How often somebody was reminded. */
  readonly reminders: number
  /** ms until the next reminder; at most 0: it is due. */
  readonly nextReminderInMs: number
}

import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { reviewRights } from '#store/access-review.ts'
import type { AccessSubject } from '#store/owe-access-review.ts'
import type { RunInAccount } from '#store/connection.ts'

/**
 * Ends the leases of those who lost a right, and condemns what they have seen, right after the commit that owes it; the loop finishes
 * what this does not come to.
 */
export async function reviewAccess(inAccount: RunInAccount, subjects: readonly AccessSubject[], actor: Actor): Promise<void> {
  for (const subject of subjects) {
    try {
      await reviewRights(inAccount, subject, actor)
    } catch (error) {
      if (!(error instanceof LeaseholdError) || error.code !== 'busy') throw error
    }
  }
}

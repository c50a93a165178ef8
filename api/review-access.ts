import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { reviewLeases, type AccessSubject } from '#store/access-review.ts'
import type { RunInAccount } from '#store/connection.ts'

/** Ends the leases of those who lost a right, right after the commit that owes it; the loop finishes what this does not come to. */
export async function reviewAccess(inAccount: RunInAccount, subjects: readonly AccessSubject[], actor: Actor): Promise<void> {
  for (const subject of subjects) {
    await reviewLeases(inAccount, subject, actor).catch((error: unknown) => {
      if (!(error instanceof LeaseholdError) || error.code !== 'busy') throw error
    })
  }
}

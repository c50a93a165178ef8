import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { UserId } from '#schemas/ids.ts'
import { reviewLeases } from '#store/access-review.ts'
import type { RouteContext } from './route.ts'

/** Ends the leases of those who lost a right, right after the commit that owes it; the loop finishes what this does not come to. */
export async function reviewUsers(
  inAccount: RouteContext<unknown, unknown, unknown, unknown>['inAccount'],
  userIds: readonly UserId[],
  actor: Actor,
): Promise<void> {
  for (const userId of userIds) {
    await reviewLeases(inAccount, { userId }, actor).catch((error: unknown) => {
      if (!(error instanceof LeaseholdError) || error.code !== 'busy') throw error
    })
  }
}

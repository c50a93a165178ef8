import type { AccountId } from '#schemas/ids.ts'
import { inAccount, type Transaction } from '#store/connection.ts'
import { urgentNotices } from '#store/notice.ts'
import type { Parts } from './parts.ts'

/**
 * Runs one transaction of the account; critical notices that it raised are tried by this process right after the commit, so
 * that they go out while workers, relay and Temporal are down.
 */
export async function announcing<T>(
  { db, notices }: Pick<Parts, 'db' | 'notices'>,
  accountId: AccountId,
  decide: (trx: Transaction) => Promise<T>,
): Promise<T> {
  let urgent: readonly string[] = []
  const decided = await inAccount(db, accountId, async (trx) => {
    const result = await decide(trx)
    urgent = urgentNotices(trx)
    return result
  })
  if (urgent.length > 0) notices.announce(accountId, urgent)
  return decided
}

import { sql } from 'kysely'
import { LeaseholdError } from '#schemas/errors.ts'
import type { Transaction } from './connection.ts'

/**
 * Runs a change after which the account might have no owner left, and undoes it when that is so. One such change at a time in
 * an account: of two owners who shut each other out at once, the second one fails.
 *
 * @throws LeaseholdError `last-owner`, and what `change` throws
 */
export async function keepingAnOwner<T>(trx: Transaction, change: () => Promise<T>): Promise<T> {
  await sql`select pg_advisory_xact_lock(hashtextextended('owners ' || current_account()::text, 0))`.execute(trx)
  const result = await change()
  const { rows } = await sql`
    select from held_role h join account_user u on u.id = h.user_id where h.owner and h.organization_id is null and u.state = 'active' limit 1`.execute(trx)
  if (rows.length === 0) throw new LeaseholdError('last-owner')
  return result
}

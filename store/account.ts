import { LeaseholdError } from '#schemas/errors.ts'
import type { Transaction } from './connection.ts'

/** Name of the transaction's account. */
export async function readAccountName(trx: Transaction): Promise<string> {
  const row = await trx.selectFrom('account').select('name').executeTakeFirst()
  if (row === undefined) throw new LeaseholdError('not-found')
  return row.name
}

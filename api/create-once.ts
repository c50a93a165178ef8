import { v7 as uuidv7 } from 'uuid'
import type { Transaction } from '#store/connection.ts'
import { rememberReplay } from '#store/idempotency.ts'
import type { RouteContext } from './route.ts'

interface Creating<Item> {
  /** The id that a new item gets; made before the transaction, because values are sealed for it. */
  readonly id?: string
  /** Makes the item, in the transaction that ties it to the Idempotency-Key. */
  readonly make: (trx: Transaction, id: string) => Promise<Item>
  /** Reads what the same request made before. */
  readonly read: (trx: Transaction, id: string) => Promise<Item>
}

/**
 * Creates an item once per Idempotency-Key: a repeated request gets the item of the first one as it is now.
 *
 * @throws LeaseholdError `idempotency-key-reused`, `not-found` (it was deleted meanwhile), and what `make` throws
 */
export async function createOnce<Item>(
  context: Pick<RouteContext<unknown, unknown, unknown, unknown>, 'idempotency' | 'inAccount'>,
  { id = uuidv7(), make, read }: Creating<Item>,
): Promise<Item> {
  return context.inAccount(async (trx) => {
    const { resourceId, replayed } = await rememberReplay(trx, { ...context.idempotency, resourceId: id })
    return replayed ? read(trx, resourceId) : make(trx, resourceId)
  })
}

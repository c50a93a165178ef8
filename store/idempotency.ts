import { sql } from 'kysely'
import { LeaseholdError } from '#schemas/errors.ts'
import type { UserId } from '#schemas/ids.ts'
import type { Transaction } from './connection.ts'

/** What makes two requests the same one. */
export interface Attempt {
  readonly userId: UserId
  /** The Idempotency-Key of the caller. */
  readonly key: string
  /** Method and path. */
  readonly route: string
  /** Keyed hash of the body, 32 bytes: bodies hold credentials, so a plain hash could be guessed at. */
  readonly requestHash: Uint8Array
}

/**
 * What the request made when it was sent before; undefined: it is new.
 *
 * @throws LeaseholdError `idempotency-key-reused` (the key belongs to another request)
 */
export async function findReplay(trx: Transaction, attempt: Attempt): Promise<string | undefined> {
  const { rows } = await sql<{ resource_id: string; same: boolean }>`
    select resource_id, route = ${attempt.route}::text and request_hash = ${attempt.requestHash}::bytea as same
    from idempotency_record where user_id = ${attempt.userId}::uuid and key = ${attempt.key}::text`.execute(trx)
  if (rows[0] === undefined) return undefined
  if (!rows[0].same) throw new LeaseholdError('idempotency-key-reused')
  return rows[0].resource_id
}

/**
 * Ties the key to what the request makes, in the transaction that makes it. A second request with the key waits here for
 * the first one and then gets its result. Holds no value, only an id.
 *
 * @returns the id to answer: `resourceId`, or the one that the first request made
 * @throws LeaseholdError `idempotency-key-reused`, `busy`
 */
export async function rememberReplay(trx: Transaction, attempt: Attempt & { readonly resourceId: string }): Promise<{ resourceId: string; replayed: boolean }> {
  const { rows } = await sql`
    insert into idempotency_record (user_id, key, route, request_hash, resource_id)
    values (${attempt.userId}::uuid, ${attempt.key}::text, ${attempt.route}::text, ${attempt.requestHash}::bytea, ${attempt.resourceId}::uuid)
    on conflict (account_id, user_id, key) do nothing returning 1`.execute(trx)
  if (rows.length > 0) return { resourceId: attempt.resourceId, replayed: false }
  const made = await findReplay(trx, attempt)
  if (made === undefined) throw new LeaseholdError('busy', { retryAfterSeconds: 1 })
  return { resourceId: made, replayed: true }
}

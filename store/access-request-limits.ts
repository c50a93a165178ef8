import { sql } from 'kysely'
import { LeaseholdError } from '#schemas/errors.ts'
import type { AccessRequestId, HostId, IdentityId, UserId } from '#schemas/ids.ts'
import type { Transaction } from './connection.ts'

/** Open access requests of one person, at most. */
const openLimit = 20
/** Edits of one request, at most: each of them is told to its approvers. */
const editLimit = 10

/** Requests of a person are opened one after the other, so that they are counted right. */
export async function lockRequester(trx: Transaction, userId: UserId): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended('access requests ' || ${userId}::text, 0))`.execute(trx)
}

/**
 * Nobody asks for the same thing beside an open request for it, nor for too much at once: every request is told to people. The
 * caller holds the lock of the requester.
 *
 * @param but the request itself, which is made to ask for something else
 * @throws LeaseholdError `access-request-open`, `access-request-limit`
 */
export async function refuseMoreRequests(
  trx: Transaction,
  {
    userId,
    identityId,
    hostId,
    but = null,
  }: { readonly userId: UserId; readonly identityId: IdentityId; readonly hostId: HostId | null; readonly but?: AccessRequestId | null },
): Promise<void> {
  const { rows } = await sql<{ id: AccessRequestId; isSame: boolean }>`
    select id, identity_id = ${identityId}::uuid and host_id is not distinct from ${hostId}::uuid as "isSame" from access_request
    where user_id = ${userId}::uuid and state in ('pending', 'approved') and expires_at > app_clock() and id is distinct from ${but}::uuid`.execute(trx)
  const same = rows.find(({ isSame }) => isSame)
  if (same !== undefined) throw new LeaseholdError('access-request-open', { requestId: same.id })
  if (rows.length >= openLimit) throw new LeaseholdError('access-request-limit', { detail: `You have ${openLimit} open access requests, which is the most` })
}

/** @throws LeaseholdError `access-request-limit` */
export function refuseMoreEdits({ id, version }: { readonly id: AccessRequestId; readonly version: number }): void {
  if (version > editLimit) {
    throw new LeaseholdError('access-request-limit', { requestId: id, detail: `This access request was edited ${editLimit} times, which is the most` })
  }
}

import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { AccessRequestId, UserId } from '#schemas/ids.ts'
import type { AccessRequestState } from '#schemas/states.ts'
import { lockAccessRequest, readAccessRequest, refuseClosed, type AccessRequestView } from './access-request.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { owe } from './duties.ts'
import { raiseNotice } from './notice.ts'
import { factsOf, placeOf } from './open-access-request.ts'

/**
 * The requester needs it no more. Cancelling a cancelled one changes nothing.
 *
 * @throws LeaseholdError `not-found`, `forbidden`, `access-request-closed`
 */
export async function cancelAccessRequest(trx: Transaction, id: AccessRequestId, userId: UserId, actor: Actor): Promise<void> {
  const request = await lockAccessRequest(trx, id)
  if (request.userId !== userId) throw new LeaseholdError('forbidden', { missing: 'to be the requester' })
  if (request.state === 'cancelled') return
  refuseClosed(request)
  await closeRequest(trx, request, 'cancelled')
  await appendAudit(trx, { actor, action: 'access_request.cancelled', effect: 'permit', outcome: 'success', ...placeOf(request) })
}

/** Takes a request that is open from its requester; the caller holds its lock. */
export async function withdrawAccessRequest(trx: Transaction, id: AccessRequestId, actor: Actor): Promise<void> {
  const request = await readAccessRequest(trx, id)
  await closeRequest(trx, request, 'cancelled')
  await appendAudit(trx, { actor, action: 'access_request.cancelled', effect: 'permit', outcome: 'support-ended', ...placeOf(request) })
}

/** Ends a request for good; the caller holds its lock and writes down why. */
export async function closeRequest(
  trx: Transaction,
  { id }: Pick<AccessRequestView, 'id'>,
  state: Extract<AccessRequestState, 'denied' | 'expired' | 'cancelled' | 'used'>,
): Promise<void> {
  await sql`update access_request set state = ${state}::text, closed_at = app_clock() where id = ${id}::uuid`.execute(trx)
  await owe(trx, 'access_request', id, { closed: true })
}

/** Tells the requester what has become of it. */
export async function tellRequester(trx: Transaction, request: AccessRequestView, became: 'approved' | 'denied' | 'expired'): Promise<void> {
  await raiseNotice(trx, {
    kind: `access_request.${became}`,
    severity: 'info',
    subject: { type: 'access_request', id: request.id },
    organizationId: request.organizationId,
    to: [request.userId],
    facts: factsOf(request),
  })
}

import { sql } from 'kysely'
import type { AccessRequestFacts } from '#schemas/access-request-facts.ts'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { AccessRequestId } from '#schemas/ids.ts'
import { lockAccessRequest } from './access-request.ts'
import { appendAudit } from './audit.ts'
import { readApprovalTerms } from './approval-terms.ts'
import { closeRequest, tellRequester } from './close-access-request.ts'
import type { Transaction } from './connection.ts'
import { raiseNotice } from './notice.ts'
import { factsOf, placeOf } from './open-access-request.ts'

/** The row as it was written down, for its workflow. @throws LeaseholdError `not-found` */
export async function readAccessRequestFacts(trx: Transaction, id: AccessRequestId): Promise<AccessRequestFacts> {
  const { rows } = await sql<Omit<AccessRequestFacts, 'openedAt' | 'expiresAt'> & { readonly openedAt: Date; readonly expiresAt: Date }>`
    select r.vault_id as "vaultId", r.identity_id as "identityId", r.state, r.version, r.opened_at as "openedAt", r.expires_at as "expiresAt",
      ceil(greatest(0, extract(epoch from r.expires_at - clock.now) * 1000))::float8 as "remainingMs",
      case when r.state = 'pending' and r.escalated_at is null and r.escalate_at is not null
        then ceil(greatest(0, extract(epoch from r.escalate_at - clock.now) * 1000))::float8 end as "escalationMs"
    from access_request r, (select app_clock() as now) clock where r.id = ${id}::uuid`.execute(trx)
  const [row] = rows
  if (row === undefined) throw new LeaseholdError('not-found')
  return { ...row, openedAt: row.openedAt.toISOString(), expiresAt: row.expiresAt.toISOString() }
}

/** Writes down that a request is over by time. Decisions and checkouts look at the clock themselves and do not wait for this. */
export async function expireRequest(trx: Transaction, id: AccessRequestId, actor: Actor): Promise<void> {
  const request = await lockAccessRequest(trx, id)
  const { rows } = await sql`select from access_request where id = ${id}::uuid and state in ('pending', 'approved')`.execute(trx)
  if (request.state !== 'expired' || rows.length === 0) return
  await closeRequest(trx, request, 'expired')
  await appendAudit(trx, { actor, action: 'access_request.expired', effect: 'permit', outcome: 'success', ...placeOf(request) })
  await tellRequester(trx, request, 'expired')
}

/** Tells those who may decide too from now on, once for each version of the request. */
export async function escalateRequest(trx: Transaction, id: AccessRequestId, actor: Actor): Promise<void> {
  const request = await lockAccessRequest(trx, id)
  if (request.state !== 'pending' || !request.escalated) return
  const { numAffectedRows } = await sql`
    update access_request set escalated_at = app_clock() where id = ${id}::uuid and escalated_at is null`.execute(trx)
  if (numAffectedRows === 0n) return
  const { escalation } = await readApprovalTerms(trx, request.identityId)
  await appendAudit(trx, { actor, action: 'access_request.escalated', effect: 'permit', outcome: 'success', ...placeOf(request) })
  await raiseNotice(trx, {
    kind: 'access_request.escalated',
    severity: 'warning',
    subject: { type: 'access_request', id },
    organizationId: request.organizationId,
    to: [...escalation].filter((person) => person !== request.userId),
    facts: factsOf(request),
  })
}

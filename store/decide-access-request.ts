import { sql } from 'kysely'
import type { Verdict } from '#schemas/access-request.ts'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { AccessRequestId, UserId } from '#schemas/ids.ts'
import { progressOf } from '#schemas/rules/approval.ts'
import type { Sealed } from '#schemas/sealed.ts'
import { lockAccessRequest, readAccessRequest, refuseClosed, type AccessRequestView } from './access-request.ts'
import { appendAudit } from './audit.ts'
import { isPresent, standingOf, type ApprovalStanding } from './approval-standing.ts'
import { readApprovalTerms, type ApprovalTerms } from './approval-terms.ts'
import { closeRequest, tellRequester } from './close-access-request.ts'
import type { Transaction } from './connection.ts'
import { owe } from './duties.ts'
import { placeOf, tellApprovers } from './open-access-request.ts'
import { expectVersion } from './refusals.ts'

export interface NewDecision {
  readonly id: AccessRequestId
  readonly userId: UserId
  readonly verdict: Verdict
  /** Sealed with the key of the request's vault. */
  readonly comment: Sealed | null
  readonly actor: Actor
  /** The version that the approver saw. */
  readonly expectedVersion: number
  /** By a link, which decides once: whoever has decided on this version has used it up. */
  readonly once?: boolean
}

/**
 * Decides about one version of a request: one denial ends it, and it is approved when in every step enough different people
 * agree who may approve now. The same answer twice counts once.
 *
 * @throws LeaseholdError `not-found`, `precondition-failed`, `link-spent`, `access-request-closed`, `forbidden`
 */
export async function decideAccessRequest(trx: Transaction, decision: NewDecision): Promise<void> {
  const { id, userId, verdict, actor, expectedVersion } = decision
  const request = await lockAccessRequest(trx, id)
  expectVersion(request.version, expectedVersion)
  const terms = await readApprovalTerms(trx, request.identityId)
  if (decision.once === true && request.decisions.some((made) => made.userId === userId && isPresent(request, terms, made)))
    throw new LeaseholdError('link-spent')
  const standing = standingOf(request, terms)
  if (!standing.approvers.has(userId)) throw new LeaseholdError('forbidden', { missing: 'to be an approver of this request' })
  const same = request.decisions.some((made) => made.userId === userId && made.verdict === verdict && isPresent(request, terms, made))
  if (same && verdict === 'approve' && !isOver(request)) return settle(trx, request, terms, standing.current, standing.current)
  refuseClosed(request)
  const step = stepOf(standing, userId, verdict)
  await write(trx, decision, { request, terms, step })
  const after = progressOf(standing.steps, verdict === 'approve' ? [...standing.approvals, { userId, step }] : standing.approvals)
  if (verdict === 'deny') await closeRequest(trx, request, 'denied')
  await appendAudit(trx, {
    actor,
    action: 'access_request.decided',
    effect: 'permit',
    outcome: verdict,
    ...placeOf(request),
    ...(decision.comment === null ? {} : { reason: decision.comment }),
    detail: { version: request.version, step: step + 1, given: after.given },
  })
  if (verdict === 'deny') await tellRequester(trx, await readAccessRequest(trx, id), 'denied')
  else await settle(trx, request, terms, standing.current, after.current)
}

/**
 * What follows from where a request stands: it is approved, also when a right that came back has completed it, or the next ones are
 * asked. Who waits hears of it again after a change of policy or of people.
 */
async function settle(trx: Transaction, request: AccessRequestView, terms: ApprovalTerms, before: number | null, current: number | null): Promise<void> {
  const isApproved = current === null && request.state === 'pending'
  if (isApproved) await approve(trx, request.id, terms)
  if (isApproved || (current === null && before !== null)) await tellRequester(trx, await readAccessRequest(trx, request.id), 'approved')
  else if (current !== before) await tellApprovers(trx, await readAccessRequest(trx, request.id), terms)
}

const isOver = ({ state }: AccessRequestView): boolean => state !== 'pending' && state !== 'approved'

/**
 * The step that a decision is made in, from 0. Whoever may approve in any step may deny; an approval belongs to the step that is
 * asked now, or, when everybody has agreed already, to the first one of the approver.
 */
function stepOf({ steps, current }: ApprovalStanding, userId: UserId, verdict: Verdict): number {
  const first = steps.findIndex(({ people }) => people.has(userId))
  if (verdict === 'deny' || current === null) return first
  if (steps[current]?.people.has(userId) === true) return current
  throw new LeaseholdError('forbidden', { missing: `to be an approver of step ${current + 1}, which is asked now` })
}

async function write(
  trx: Transaction,
  { id, userId, verdict, comment }: NewDecision,
  { request, terms: { policy }, step }: { readonly request: AccessRequestView; readonly terms: ApprovalTerms; readonly step: number },
): Promise<void> {
  await sql`insert into access_decision (request_id, request_version, policy_id, policy_version, step, user_id, verdict, comment_ciphertext, comment_key_id)
    values (${id}::uuid, ${request.version}::int, ${policy?.id ?? null}::uuid, ${policy?.version ?? null}::int, ${step + 1}::int, ${userId}::uuid,
      ${verdict}::text, ${comment?.ciphertext ?? null}::bytea, ${comment?.keyId ?? null}::text)`.execute(trx)
}

/** From now on the requester may check out, once, for as long as the policy lets an approval wait. */
async function approve(trx: Transaction, id: AccessRequestId, { validityMinutes }: ApprovalTerms): Promise<void> {
  await sql`update access_request set state = 'approved', approved_at = clock.now, expires_at = clock.now + make_interval(mins => ${validityMinutes}::int)
    from (select app_clock() as now) clock where id = ${id}::uuid`.execute(trx)
  await owe(trx, 'access_request', id)
}

import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { RecertificationId } from '#schemas/ids.ts'
import type { Principal } from '#schemas/principal.ts'
import { appendAudit } from './audit.ts'
import type { RunInAccount, Transaction } from './connection.ts'
import { effectOf, writeDecision } from './decide-recertification-item.ts'
import { owe } from './duties.ts'
import { raiseNotice } from './notice.ts'
import { isInReachOf, tellReviewers } from './open-recertification.ts'
import { lockItem } from './recertification-item.ts'
import { lockRecertification, readRecertification, type RecertificationView } from './recertification.ts'

/** Tells reviewers what is still open, once. */
export async function remindOfRecertification(trx: Transaction, id: RecertificationId, actor: Actor): Promise<void> {
  const recertification = await lockRecertification(trx, id, 'change')
  const { numAffectedRows } = await sql`
    update recertification set remind_at = null where id = ${id}::uuid and state = 'open' and remind_at <= app_clock()`.execute(trx)
  if (numAffectedRows === 0n) return
  await record(trx, recertification, 'reminded', actor)
  if (recertification.counts.open > 0) await tellReviewers(trx, recertification, 'reminder')
}

/**
 * Settles a batch of what nobody has decided about, when the time is over, and ends the recertification behind the last one. One
 * transaction each: a thousand items must not hold a thousand locks. Leases that rest on what is removed are ended by the reviews that it
 * owes. Running it twice changes nothing.
 *
 * @param inAccount runs one transaction of the account
 * @param limit most items
 * @throws LeaseholdError `busy` when somebody else holds all of the batch
 */
export async function settleRecertification(inAccount: RunInAccount, id: RecertificationId, actor: Actor, limit: number): Promise<void> {
  const itemIds = await inAccount((trx) => listOpenItems(trx, id, limit))
  let settled = 0
  for (const itemId of itemIds) {
    try {
      await settleItem(inAccount, id, itemId, actor)
      settled += 1
    } catch (error) {
      if (!isPassing(error)) throw error
    }
  }
  if (settled === 0 && itemIds.length > 0) throw new LeaseholdError('busy')
  await inAccount((trx) => endRecertification(trx, id, actor))
}

/** What somebody else holds or ends at this moment is met again by the next batch. */
const isPassing = (error: unknown): boolean => error instanceof LeaseholdError && (error.code === 'busy' || error.code === 'not-found')

async function listOpenItems(trx: Transaction, id: RecertificationId, limit: number): Promise<readonly string[]> {
  const { rows } = await sql<{ id: string }>`
    select i.id from recertification_item i join recertification t on t.id = i.recertification_id
    where t.id = ${id}::uuid and t.state = 'open' and t.due_at <= app_clock() and i.state = 'open' order by i.id limit ${limit}::int`.execute(trx)
  return rows.map((row) => row.id)
}

/** What the rules of the account do not let anybody remove stays, and is listed as that. */
async function settleItem(inAccount: RunInAccount, id: RecertificationId, itemId: string, actor: Actor): Promise<void> {
  try {
    await inAccount((trx) => settle(trx, id, itemId, actor))
  } catch (error) {
    if (!(error instanceof LeaseholdError) || error.code !== 'last-owner') throw error
    await inAccount((trx) => settle(trx, id, itemId, actor, 'refused'))
  }
}

async function settle(trx: Transaction, id: RecertificationId, itemId: string, actor: Actor, refused?: 'refused'): Promise<void> {
  const recertification = await lockRecertification(trx, id, 'decide')
  const item = await lockItem(trx, id, itemId, null)
  if (recertification.state !== 'open' || !recertification.isDue || item.decision !== 'open') return
  // Roles of owners are items of what an owner has started.
  const effect = refused === undefined || item.endedAt !== null ? await effectOf(trx, item, recertification.onSilence, { owner: true }, actor) : undefined
  await writeDecision(trx, recertification, item, { decision: effect?.decision ?? 'refused', actor, by: null })
}

/** Ends it when its time is over and nothing is open in it. */
async function endRecertification(trx: Transaction, id: RecertificationId, actor: Actor): Promise<void> {
  const { state, isDue, counts } = await lockRecertification(trx, id, 'close')
  if (state !== 'open' || !isDue || counts.open > 0) return
  await sql`update recertification set state = 'ended', remind_at = null, closed_at = app_clock() where id = ${id}::uuid`.execute(trx)
  await close(trx, id, 'ended', actor)
}

/**
 * Ends it before its time: what was removed stays removed, and nobody is asked about the rest any more. Cancelling a cancelled one changes nothing.
 * It is for those who could have opened it: nobody spares roles that they could not take away from being looked at.
 *
 * @throws LeaseholdError `not-found`, `recertification-closed` (its time is over, or it has ended), `forbidden`
 */
export async function cancelRecertification(trx: Transaction, id: RecertificationId, caller: Principal, actor: Actor): Promise<void> {
  const { state, isDue } = await lockRecertification(trx, id, 'close')
  if (state === 'cancelled') return
  if (state !== 'open' || isDue) throw new LeaseholdError('recertification-closed', { state: 'ended' })
  await refuseOutOfReach(trx, id, caller)
  await sql`update recertification set state = 'cancelled', remind_at = null, closed_at = app_clock(), closed_by = ${caller.userId}::uuid where id = ${id}::uuid`.execute(
    trx,
  )
  await close(trx, id, 'cancelled', actor)
}

/** @throws LeaseholdError `forbidden` */
async function refuseOutOfReach(trx: Transaction, id: RecertificationId, caller: Principal): Promise<void> {
  const { rows } = await sql`
    select from recertification_item h join role r on r.id = h.role_id where h.recertification_id = ${id}::uuid and not ${isInReachOf(caller)} limit 1`.execute(
    trx,
  )
  if (rows.length > 0) throw new LeaseholdError('forbidden', { missing: 'to be allowed to take away every role that it is about' })
}

/** On record, told to the administrators, and of no more concern to its workflow. */
async function close(trx: Transaction, id: RecertificationId, verb: 'ended' | 'cancelled', actor: Actor): Promise<void> {
  const recertification = await readRecertification(trx, id)
  const { organizationId, counts } = recertification
  await record(trx, recertification, verb, actor)
  await raiseNotice(trx, {
    kind: `recertification.${verb}`,
    severity: verb === 'cancelled' || counts.refused > 0 ? 'warning' : 'info',
    subject: { type: 'recertification', id },
    organizationId,
    to: 'admins',
    facts: { organizationId, ...counts },
  })
  await owe(trx, 'recertification', id, { closed: true })
}

const record = (trx: Transaction, { id, organizationId, counts }: RecertificationView, verb: 'reminded' | 'ended' | 'cancelled', actor: Actor): Promise<void> =>
  appendAudit(trx, {
    actor,
    action: `recertification.${verb}`,
    effect: 'permit',
    outcome: 'success',
    organizationId,
    detail: { recertificationId: id, ...counts },
  })

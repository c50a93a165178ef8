import { sql } from 'kysely'
import type { BreakGlassReviewFacts } from '#schemas/break-glass-facts.ts'
import type { LeaseId } from '#schemas/ids.ts'
import { reminderSeverity, remindEvery } from '#schemas/rules/break-glass.ts'
import type { Transaction } from './connection.ts'
import { raiseNotice } from './notice.ts'

/** Undefined when there is none in this account. */
export async function readBreakGlassReviewFacts(trx: Transaction, id: LeaseId): Promise<BreakGlassReviewFacts | undefined> {
  const { rows } = await sql<BreakGlassReviewFacts>`
    select r.id as "reviewId", r.organization_id as "organizationId", l.vault_id as "vaultId", l.identity_id as "identityId", r.state, r.reminders,
      ceil(extract(epoch from r.remind_at - app_clock()) * 1000)::float8 as "nextReminderInMs"
    from break_glass_review r join lease l on l.id = r.id where r.id = ${id}::uuid`.execute(trx)
  return rows[0]
}

/**
 * Brings an emergency use that nobody has reviewed back to the mind of every admin; one that is reviewed, or not due, is left alone.
 *
 * @param reminders how many there were when the caller looked: run twice, it reminds once
 */
export async function remindOfReview(trx: Transaction, id: LeaseId, reminders: number): Promise<void> {
  const { rows } = await sql<{ opened_at: Date; organization_id: BreakGlassReviewFacts['organizationId'] }>`
    update break_glass_review set reminders = reminders + 1, remind_at = app_clock() + make_interval(secs => ${remindEvery}::float8 / 1000)
    where id = ${id}::uuid and state = 'open' and reminders = ${reminders}::int and remind_at <= app_clock()
    returning opened_at, organization_id`.execute(trx)
  const [due] = rows
  if (due === undefined) return
  await raiseNotice(trx, {
    kind: 'break_glass.review_due',
    severity: reminderSeverity(reminders),
    subject: { type: 'lease', id },
    organizationId: due.organization_id,
    to: 'admins',
    facts: { openedAt: due.opened_at.toISOString(), reminder: reminders + 1 },
  })
}

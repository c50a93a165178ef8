import { sql, type RawBuilder } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import type { Duty } from '#schemas/duty.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { AccountId } from '#schemas/ids.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import { appendAudit } from './audit.ts'
import type { RunInAccount, Transaction } from './connection.ts'
import type { ObligationKind } from './tables/duty.ts'
import { reopenDuties, workflowDuties } from './duties.ts'

interface Row {
  kind: ObligationKind
  subject_id: string
  account_id: AccountId
  due_since: Date
  attempts: number
  next_at: Date
  quarantined_at: Date | null
  last_error: string | null
}

const fromRow = (row: Row): Duty => ({
  kind: row.kind,
  subjectId: row.subject_id,
  account: row.account_id,
  state: row.quarantined_at === null ? 'owed' : 'quarantined',
  dueSince: row.due_since.toISOString(),
  attempts: row.attempts,
  nextAt: row.quarantined_at === null ? row.next_at.toISOString() : null,
  quarantinedAt: row.quarantined_at?.toISOString() ?? null,
  lastError: row.last_error,
})

async function select(trx: Transaction, where: RawBuilder<unknown>): Promise<Duty[]> {
  const { rows } = await sql<Row>`select kind, subject_id, account_id, due_since, attempts, next_at, quarantined_at, last_error
    from obligation where delivered < version and ${where}`.execute(trx)
  return rows.map(fromRow)
}

/** Duties of the account that are owed, by the id of their subject. */
export async function listDuties(
  trx: Transaction,
  { kind, state }: { readonly kind?: ObligationKind | undefined; readonly state?: Duty['state'] | undefined },
  { limit, after }: PageRequest,
): Promise<Page<Duty>> {
  const duties = await select(
    trx,
    sql`(${kind ?? null}::text is null or kind = ${kind ?? null}::text)
      and (${state ?? null}::text is null or (quarantined_at is not null) = (${state ?? null}::text = 'quarantined'))
      and (${after}::uuid is null or subject_id > ${after}::uuid) order by subject_id limit ${limit + 1}::int`,
  )
  const { items, nextCursor } = toPage(
    duties.map((duty) => ({ id: duty.subjectId, duty })),
    limit,
  )
  return { items: items.map(({ duty }) => duty), ...(nextCursor === undefined ? {} : { nextCursor }) }
}

/**
 * Somebody has removed what a duty failed on: it is tried again at once, with all its attempts.
 *
 * @throws LeaseholdError `not-found` when nothing is owed to this subject
 */
export async function retryDuty(trx: Transaction, kind: ObligationKind, subjectId: string, actor: Actor): Promise<Duty> {
  const { rowCount } = await retry(trx, kind, subjectId)
  if (rowCount === 0) throw new LeaseholdError('not-found')
  await appendAudit(trx, { actor, action: 'duty.retried', effect: 'permit', outcome: 'success', detail: { kind, subjectId } })
  const [duty] = await select(trx, sql`kind = ${kind}::text and subject_id = ${subjectId}::uuid`)
  if (duty === undefined) throw new LeaseholdError('not-found')
  return duty
}

async function retry(trx: Transaction, kind: ObligationKind, subjectId: string): Promise<{ rowCount: number }> {
  const { numAffectedRows } = await sql`update obligation set quarantined_at = null, attempts = 0, next_at = clock_timestamp()
    where kind = ${kind}::text and subject_id = ${subjectId}::uuid and delivered < version`.execute(trx)
  return { rowCount: Number(numAffectedRows ?? 0) }
}

/**
 * Owes every subject of the account that is not final once more, for after a loss that nobody noticed. Each batch is on record.
 *
 * @returns how many
 */
export const reconcileDuties = (inAccount: RunInAccount, actor: Actor): Promise<number> =>
  reopenDuties(workflowDuties, (reopen) =>
    inAccount(async (trx) => {
      const reopened = await reopen(trx)
      await appendAudit(trx, { actor, action: 'duty.reconciled', effect: 'permit', outcome: 'success', detail: { reopened } })
      return reopened
    }),
  )

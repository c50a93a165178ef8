import { sql, type RawBuilder } from 'kysely'
import type { AccountId } from '#schemas/ids.ts'
import { retryDelay } from '#schemas/rules/rotation.ts'
import type { Db, Transaction } from './connection.ts'
import type { ObligationKind } from './tables/duty.ts'
import { translateError } from './postgres-error.ts'

/** A duty as a loop holds it. Delivering it means: tell the subject to look; the rows say what there is to see. */
export interface Duty {
  readonly accountId: AccountId
  readonly kind: ObligationKind
  readonly subjectId: string
  /** What the subject had become when the duty was taken. */
  readonly version: number
  /** Failed deliveries so far. */
  readonly attempts: number
}

export interface OweOptions {
  /** The subject is final: reconciliation need not tell it again. */
  readonly closed?: boolean
  /** Not before so many ms from now. */
  readonly delayMs?: number
}

/** Duties that are delivered to the workflow of their subject. */
export const workflowDuties = [
  'lease',
  'rotation',
  'reencryption',
  'notification',
  'break_glass_review',
  'access_request',
  'support_access',
  'rotation_campaign',
  'recertification',
] as const satisfies readonly ObligationKind[]

const quarantineAfter = 20

/** A fact about the subject. What was owed before stays owed since then. */
const onKnownSubject = sql`on conflict (account_id, kind, subject_id) do update
  set version = o.version + 1, closed = excluded.closed, next_at = excluded.next_at, attempts = 0, quarantined_at = null,
    due_since = case when o.delivered < o.version then least(o.due_since, excluded.due_since) else excluded.due_since end`

/** The upsert of one duty, alone or as a CTE. */
export function dutyUpsert(kind: ObligationKind, subjectId: string, { closed = false, delayMs = 0 }: OweOptions = {}): RawBuilder<unknown> {
  return sql`insert into obligation as o (kind, subject_id, closed, next_at, due_since)
    select ${kind}::text, ${subjectId}::uuid, ${closed}::boolean, due.at, due.at
    from (select clock_timestamp() + make_interval(secs => ${delayMs}::float8 / 1000) as at) due ${onKnownSubject}`
}

/** Writes down the same kind of duty for many subjects, in one statement: there may be thousands of them. */
export async function oweEach(trx: Transaction, kind: ObligationKind, subjects: readonly (OweOptions & { readonly subjectId: string })[]): Promise<void> {
  const ids = subjects.map(({ subjectId }) => subjectId)
  const closed = subjects.map((subject) => subject.closed ?? false)
  const delays = subjects.map(({ delayMs }) => delayMs ?? 0)
  // In the order of their ids, like everybody who takes many of these rows.
  await sql`insert into obligation as o (kind, subject_id, closed, next_at, due_since)
    select ${kind}::text, s.id, s.closed, due.at, due.at from unnest(${ids}::uuid[], ${closed}::boolean[], ${delays}::float8[]) s (id, closed, delay)
      cross join lateral (select clock_timestamp() + make_interval(secs => s.delay / 1000) as at) due order by s.id ${onKnownSubject}`.execute(trx)
}

/** Writes down, in the transaction of a fact, that its subject must be told. */
export async function owe(trx: Transaction, kind: ObligationKind, subjectId: string, options?: OweOptions): Promise<void> {
  await dutyUpsert(kind, subjectId, options).execute(trx)
}

/**
 * Takes due duties of all accounts for `holdMs`; another loop does not see them until then.
 *
 * @param db pool of leasehold_relay or leasehold_bridge: row-level security shows each its own kinds
 * @param holdMs ms after which a duty whose holder died is free again
 */
export async function claimDuties(db: Db, kinds: readonly ObligationKind[], options: { limit: number; holdMs: number }): Promise<Duty[]> {
  const { rows } = await sql<{ account_id: AccountId; kind: ObligationKind; subject_id: string; version: number; attempts: number }>`
    with due as (
      select account_id, kind, subject_id from obligation
      where kind = any(${kinds}::text[]) and delivered < version and quarantined_at is null
        and next_at <= clock_timestamp() and (claimed_until is null or claimed_until < clock_timestamp())
      order by next_at limit ${options.limit}::int for update skip locked
    )
    update obligation o set claimed_until = clock_timestamp() + make_interval(secs => ${options.holdMs}::float8 / 1000)
    from due where (o.account_id, o.kind, o.subject_id) = (due.account_id, due.kind, due.subject_id)
    returning o.account_id, o.kind, o.subject_id, o.version, o.attempts`
    .execute(db)
    .catch(rethrow)
  return rows.map((row) => ({ accountId: row.account_id, kind: row.kind, subjectId: row.subject_id, version: row.version, attempts: row.attempts }))
}

/** The subject was told. What it became meanwhile (a higher version) stays owed. */
export async function recordDelivered(db: Db, duty: Duty): Promise<void> {
  await sql`update obligation set delivered = greatest(delivered, ${duty.version}::int), claimed_until = null, attempts = 0, last_error = null,
    due_since = next_at
    where ${isDuty(duty)}`
    .execute(db)
    .catch(rethrow)
}

/**
 * The subject itself could not be told. After 20 failures the duty is quarantined and somebody must look.
 *
 * @param code error code or class name; never a message
 * @returns whether the duty is quarantined now
 */
export async function recordFailure(db: Db, duty: Duty, code: string): Promise<boolean> {
  const delay = retryDelay(duty.attempts + 1)
  const { rows } = await sql<{ quarantined: boolean }>`
    update obligation set attempts = attempts + 1, last_error = ${code}::text, claimed_until = null,
      next_at = clock_timestamp() + make_interval(secs => ${delay}::float8 / 1000),
      quarantined_at = case when attempts + 1 >= ${quarantineAfter}::int then clock_timestamp() end
    where ${isDuty(duty)} returning quarantined_at is not null as quarantined`
    .execute(db)
    .catch(rethrow)
  return rows[0]?.quarantined ?? false
}

/** The server that carries the news is down: gives the duty back without counting it against the subject. */
export async function returnDuty(db: Db, duty: Duty, delayMs: number): Promise<void> {
  await sql`update obligation set claimed_until = null, next_at = clock_timestamp() + make_interval(secs => ${delayMs}::float8 / 1000)
    where ${isDuty(duty)}`
    .execute(db)
    .catch(rethrow)
}

/** Rows of one statement: however much is open, each is done well within the time that PostgreSQL gets to answer. */
const reopenBatch = 2_000

interface Place {
  readonly account_id: string
  readonly kind: string
  readonly subject_id: string
}

/** Sorts before every place. */
const start: Place = { account_id: '00000000-0000-0000-0000-000000000000', kind: '', subject_id: '00000000-0000-0000-0000-000000000000' }

/**
 * Owes every subject that is not final once more, in batches: one stays reopened when a later one fails.
 *
 * @param inBatch runs one of them, with whatever belongs to it; once it has returned, what it ran is committed
 * @returns how many
 * @throws LeaseholdError `busy`, `dependency-unavailable`
 */
export async function reopenDuties(
  kinds: readonly ObligationKind[],
  inBatch: (reopen: (db: Db | Transaction) => Promise<number>) => Promise<number>,
): Promise<number> {
  let reopened = 0
  // From place to place: a relay that delivers meanwhile must not keep it going.
  let after: Place | undefined = start
  while (after !== undefined) {
    const from: Place = after
    let batch: readonly Place[] = []
    reopened += await inBatch(async (db) => (batch = await reopenAfter(db, kinds, from)).length)
    after = batch.length === reopenBatch ? batch.at(-1) : undefined
  }
  return reopened
}

async function reopenAfter(db: Db | Transaction, kinds: readonly ObligationKind[], after: Place): Promise<readonly Place[]> {
  const { rows } = await sql<Place>`
    with open as (
      select account_id, kind, subject_id from obligation
      where kind = any(${kinds}::text[]) and not closed and delivered >= version
        and (account_id, kind, subject_id) > (${after.account_id}::uuid, ${after.kind}::text, ${after.subject_id}::uuid)
      order by account_id, kind, subject_id limit ${reopenBatch}::int for update
    ),
    reopened as (
      update obligation o set version = o.version + 1, next_at = clock_timestamp(), due_since = clock_timestamp()
      from open where (o.account_id, o.kind, o.subject_id) = (open.account_id, open.kind, open.subject_id)
    )
    select account_id, kind, subject_id from open order by account_id, kind, subject_id`
    .execute(db)
    .catch(rethrow)
  return rows
}

/** Wakes the loops; sent after the commit, never inside a deciding transaction, where it would take a lock of the whole server. */
export async function notifyDuties(db: Db): Promise<void> {
  await sql`select pg_notify('duties', '')`.execute(db)
}

const isDuty = (duty: Duty): RawBuilder<unknown> =>
  sql`account_id = ${duty.accountId}::uuid and kind = ${duty.kind}::text and subject_id = ${duty.subjectId}::uuid`

function rethrow(error: unknown): never {
  throw translateError(error)
}

import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { IdentityId, OrganizationId, UserId, VaultId } from '#schemas/ids.ts'
import { alertAfterRefusals, mostRefusals, refusalWindow, undecidedWindow, untilAllowed } from '#schemas/rules/break-glass.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { raiseNotice } from './notice.ts'

/**
 * Writes down that somebody tries a credential; to be committed before anybody looks at it. Tries whose verdict is not known yet
 * count as wrong ones, so that many at once are no way around the limit.
 *
 * @param stranger whoever tries has not logged in otherwise: counted apart, so that nobody else can use up a person's tries
 * @returns id of the attempt
 * @throws LeaseholdError `break-glass-rate-limited` after 5 wrong ones in 15 minutes
 */
export async function beginAttempt(trx: Transaction, userId: UserId, stranger = false): Promise<string> {
  await lockAttempts(trx, userId)
  const { now, refusals, undecided } = await readRefusals(trx, userId, stranger)
  const waits = untilAllowed([...refusals, ...undecided], now, refusalWindow, mostRefusals)
  if (waits !== undefined) {
    // One of those under way may turn out right in a moment.
    throw new LeaseholdError('break-glass-rate-limited', { retryAfterSeconds: refusals.length < mostRefusals ? 1 : Math.ceil(waits / 1_000) })
  }
  const { rows } = await sql<{ id: string }>`
    insert into break_glass_attempt (user_id, attempted_at, stranger) values (${userId}::uuid, ${now}::timestamptz, ${stranger}::boolean) returning id`.execute(
    trx,
  )
  return (rows[0] as { id: string }).id
}

export interface Verdict {
  readonly attemptId: string
  readonly accepted: boolean
  readonly userId: UserId
  /** What it was tried for; null: a login by somebody who may be anybody. */
  readonly at: { readonly organizationId: OrganizationId; readonly vaultId: VaultId; readonly identityId: IdentityId } | null
  readonly actor: Actor
}

/** Writes down how a try went. A wrong one is on record, and the admins hear of the third. */
export async function recordVerdict(trx: Transaction, { attemptId, accepted, userId, at, actor }: Verdict): Promise<void> {
  await lockAttempts(trx, userId)
  await sql`update break_glass_attempt set accepted = ${accepted}::boolean where id = ${attemptId}::uuid`.execute(trx)
  if (accepted) return
  await appendAudit(trx, {
    actor,
    action: 'break_glass_credential.refused',
    effect: 'deny',
    outcome: 'break-glass-credential-refused',
    userId,
    breakGlass: true,
    ...at,
  })
  const { refusals } = await readRefusals(trx, userId, at === null)
  if (refusals.length !== alertAfterRefusals) return
  await raiseNotice(trx, {
    kind: 'break_glass.credential_refused',
    severity: 'critical',
    subject: { type: 'user', id: userId },
    organizationId: at?.organizationId ?? null,
    to: 'admins',
    facts: { refusals: refusals.length, identityId: at?.identityId ?? null },
  })
}

const lockAttempts = (trx: Transaction, userId: UserId) =>
  sql`select pg_advisory_xact_lock(hashtextextended(${`break-glass attempt ${userId}`}::text, 0))`.execute(trx)

async function readRefusals(
  trx: Transaction,
  userId: UserId,
  stranger: boolean,
): Promise<{ readonly now: Date; readonly refusals: Date[]; readonly undecided: Date[] }> {
  const { rows } = await sql<{ now: Date; refusals: string[]; undecided: string[] }>`
    with clock as materialized (select app_clock() as now),
    recent as (
      select a.attempted_at as at, a.accepted from break_glass_attempt a, clock
      where a.user_id = ${userId}::uuid and a.stranger = ${stranger}::boolean and a.attempted_at > clock.now - make_interval(secs => ${refusalWindow}::float8 / 1000) and a.accepted is not true
    )
    select clock.now, coalesce((select jsonb_agg(at) from recent where accepted = false), '[]') as refusals,
      coalesce((select jsonb_agg(at) from recent where accepted is null and at > clock.now - make_interval(secs => ${undecidedWindow}::float8 / 1000)), '[]') as undecided
    from clock`.execute(trx)
  const [row = { now: new Date(), refusals: [], undecided: [] }] = rows
  return { now: row.now, refusals: row.refusals.map((at) => new Date(at)), undecided: row.undecided.map((at) => new Date(at)) }
}

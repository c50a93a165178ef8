import { sql } from 'kysely'
import { v7 as uuidv7 } from 'uuid'
import type { Actor } from '#schemas/audit-event.ts'
import type { AccessRequestId, AccountId, LeaseId, UserId } from '#schemas/ids.ts'
import type { NoticeKind, NoticeSeverity } from '#schemas/notice.ts'
import type { Permission } from '#schemas/principal.ts'
import { nextReminder } from '#schemas/rules/support-access.ts'
import type { Sealed } from '#schemas/sealed.ts'
import type { SupportAccessFacts } from '#schemas/support-access-facts.ts'
import type { SupportAccess } from '#schemas/support-access.ts'
import { oweUserReviews, type AccessSubject } from './owe-access-review.ts'
import { appendAudit } from './audit.ts'
import { withdrawAccessRequest } from './close-access-request.ts'
import type { Db, Transaction } from './connection.ts'
import { owe } from './duties.ts'
import { raiseNotice } from './notice.ts'

/** The window that is open, or the last one, with its reason still sealed. */
export interface SupportWindow extends Omit<SupportAccess, 'reason' | 'id'> {
  readonly id: string
  readonly reason: Sealed
}

interface Row {
  readonly id: string
  readonly state: 'open' | 'ended'
  readonly permissions: Permission[]
  readonly reason_ciphertext: Buffer
  readonly reason_key_id: string
  readonly enabled_by: UserId
  readonly enabled_at: Date
  readonly expires_at: Date | null
  readonly ended_at: Date | null
  readonly end_cause: SupportWindow['endCause']
  readonly usable: boolean
}

/** @returns undefined: there never was one */
export async function readSupportWindow(trx: Transaction): Promise<SupportWindow | undefined> {
  const { rows } = await sql<Row>`
    select *, state = 'open' and (expires_at is null or expires_at > app_clock()) as usable from support_access
    order by state = 'open' desc, enabled_at desc, id desc limit 1`.execute(trx)
  const [row] = rows
  return (
    row && {
      id: row.id,
      enabled: row.usable,
      reason: { encryptionVersion: 2, keyId: row.reason_key_id, ciphertext: row.reason_ciphertext },
      enabledBy: row.enabled_by,
      enabledAt: row.enabled_at.toISOString(),
      expiresAt: row.expires_at?.toISOString() ?? null,
      endedAt: row.ended_at?.toISOString() ?? null,
      endCause: row.end_cause,
      permissions: row.permissions,
    }
  )
}

/** One at a time opens, changes or closes, and waits for the uses that are being decided; those that come later wait for it. */
async function lockSupportAccess(trx: Transaction): Promise<{ readonly id: string; readonly expiresAt: Date | null } | undefined> {
  await sql`select pg_advisory_xact_lock(hashtextextended('support access ' || current_account(), 0))`.execute(trx)
  const { rows } = await sql<{ id: string; expiresAt: Date | null }>`
    select id, expires_at as "expiresAt" from support_access where state = 'open' for update`.execute(trx)
  return rows[0]
}

export interface Enabling {
  readonly userId: UserId
  readonly actor: Actor
  /** Id that a new window gets. The reason is sealed for it, or for the one that is open. */
  readonly newId: string
  readonly sealReason: (windowId: string) => Sealed
  /** 1-365; null: without an end. */
  readonly expiresInDays: number | null
  /** What configuration gives support staff. */
  readonly permissions: readonly Permission[]
}

/** What a change leaves to its caller: leases to look at right after the commit. */
export interface Changed {
  readonly reviews: readonly AccessSubject[]
}

/**
 * Opens the window, or gives the open one another reason and another end. Leases that would outlive a nearer end are shortened by
 * the review that is owed.
 */
export async function enableSupportAccess(trx: Transaction, { userId, actor, newId, sealReason, expiresInDays, permissions }: Enabling): Promise<Changed> {
  const open = await lockSupportAccess(trx)
  const { rows } = await sql<{
    now: Date
    overdue: boolean
  }>`select now, ${open?.expiresAt ?? null}::timestamptz <= now as overdue from app_clock() now`.execute(trx)
  const { now, overdue } = rows[0] as { now: Date; overdue: boolean | null }
  if (open !== undefined && overdue === true) await endWindow(trx, { id: open.id, cause: 'expired', actor: clock })
  const current = overdue === true ? undefined : open
  const id = current?.id ?? newId
  const expiresAt = expiresInDays === null ? null : new Date(now.getTime() + expiresInDays * 86_400_000)
  const remindAt = nextReminder(now, expiresAt)
  const reason = sealReason(id)
  await sql`
    insert into support_access as w (id, permissions, reason_ciphertext, reason_key_id, enabled_by, enabled_at, expires_at, remind_at)
    values (${id}::uuid, ${permissions}::text[], ${reason.ciphertext}::bytea, ${reason.keyId}::text, ${userId}::uuid, ${now}::timestamptz, ${expiresAt}::timestamptz, ${remindAt}::timestamptz)
    on conflict (account_id, id) do update set permissions = excluded.permissions, reason_ciphertext = excluded.reason_ciphertext,
      reason_key_id = excluded.reason_key_id, expires_at = excluded.expires_at, remind_at = excluded.remind_at, version = w.version + 1`.execute(trx)
  const action = current === undefined ? 'enabled' : 'changed'
  await record(trx, { id, action, actor, reason, expiresAt })
  await tell(trx, id, `support_access.${action}`, 'warning', { userId, expiresAt: expiresAt?.toISOString() ?? null })
  await owe(trx, 'support_access', id)
  return { reviews: current === undefined ? [] : await oweSupportReviews(trx) }
}

export interface Disabling {
  readonly userId: UserId
  readonly actor: Actor
  readonly cause: 'disabled' | 'emergency'
  /** Sealed for the window that is open. In an emergency without one: for an id that stands in the audit event alone. */
  readonly sealReason?: ((windowId: string) => Sealed) | undefined
}

/**
 * Closes the window. From the commit on nobody of the support staff gets anything: every use locks the row that this one holds.
 * Leases are ended afterwards, one by one, by the caller and by the loop that the owed reviews wake. Nothing here needs Temporal.
 */
export async function disableSupportAccess(trx: Transaction, { userId, actor, cause, sealReason }: Disabling): Promise<Changed> {
  const open = await lockSupportAccess(trx)
  if (open !== undefined) {
    await endWindow(trx, { id: open.id, cause, actor, userId, ...(sealReason === undefined ? {} : { reason: sealReason(open.id) }) })
  } else if (cause === 'emergency') {
    // Somebody wanted to be sure: that goes on record, and what is left is ended.
    const id = uuidv7()
    const why = sealReason && { reason: sealReason(id), detail: { windowId: id } }
    await appendAudit(trx, { actor, action: 'support-access.emergency-disabled', effect: 'permit', outcome: 'not-enabled', ...why })
  }
  return { reviews: open === undefined && cause === 'disabled' ? [] : await oweSupportReviews(trx) }
}

/**
 * Ends the window when its time is over, whoever's clock comes first.
 *
 * @param version that was waited for; absent: any
 * @returns whether it was this call
 */
export async function expireSupportAccess(trx: Transaction, windowId: string, actor: Actor, version?: number): Promise<boolean> {
  const { rows } = await sql`select from support_access where id = ${windowId}::uuid and state = 'open' and expires_at <= app_clock()
    and version = coalesce(${version ?? null}::int, version) for update`.execute(trx)
  if (rows.length === 0) return false
  await endWindow(trx, { id: windowId, cause: 'expired', actor })
  await oweSupportReviews(trx)
  return true
}

/** Tells administrators that the window is still open, once per due reminder. */
export async function remindOfSupportAccess(trx: Transaction, windowId: string, actor: Actor): Promise<void> {
  const { rows } = await sql<{ expires_at: Date | null; enabled_at: Date; now: Date }>`
    select expires_at, enabled_at, app_clock() as now from support_access
    where id = ${windowId}::uuid and state = 'open' and remind_at <= app_clock() for no key update`.execute(trx)
  const [due] = rows
  if (due === undefined) return
  await sql`update support_access set remind_at = ${nextReminder(due.now, due.expires_at)}::timestamptz where id = ${windowId}::uuid`.execute(trx)
  await record(trx, { id: windowId, action: 'reminded', actor, expiresAt: due.expires_at })
  await tell(trx, windowId, 'support_access.reminder', 'warning', { enabledAt: due.enabled_at.toISOString(), expiresAt: due.expires_at?.toISOString() ?? null })
}

/** @returns undefined: there is none with this id */
export async function readSupportFacts(trx: Transaction, windowId: string): Promise<SupportAccessFacts | undefined> {
  const { rows } = await sql<SupportAccessFacts>`
    with clock as materialized (select app_clock() as now)
    select id as "windowId", state, end_cause as "endCause", version,
      case when expires_at is not null then greatest(0, ceil(extract(epoch from expires_at - now) * 1000))::float8 end as "remainingMs",
      case when remind_at is not null then greatest(0, ceil(extract(epoch from remind_at - now) * 1000))::float8 end as "reminderInMs"
    from support_access, clock where id = ${windowId}::uuid`.execute(trx)
  return rows[0]
}

/** Windows of all accounts whose time is over. @param expirer pool of leasehold_expirer */
export async function listOverdueSupport(expirer: Db): Promise<readonly { readonly accountId: AccountId; readonly windowId: string }[]> {
  const { rows } = await sql<{ accountId: AccountId; windowId: string }>`
    select account_id as "accountId", id as "windowId" from support_access
    where state = 'open' and expires_at <= app_clock(account_id) order by expires_at limit 100`.execute(expirer)
  return rows
}

const clock: Actor = { kind: 'system', id: 'support-access' }

interface Ending {
  readonly id: string
  readonly cause: NonNullable<SupportWindow['endCause']>
  readonly actor: Actor
  readonly userId?: UserId
  readonly reason?: Sealed
}

async function endWindow(trx: Transaction, { id, cause, actor, userId, reason }: Ending): Promise<void> {
  await sql`update support_access set state = 'ended', ended_at = app_clock(), end_cause = ${cause}::text, ended_by = ${userId ?? null}::uuid,
    version = version + 1 where id = ${id}::uuid`.execute(trx)
  await record(trx, { id, action: cause === 'emergency' ? 'emergency-disabled' : cause, actor, ...(reason === undefined ? {} : { reason }) })
  if (cause === 'emergency') await tell(trx, id, 'support_access.emergency_disabled', 'critical', { userId: userId ?? null })
  else await tell(trx, id, 'support_access.ended', 'warning', { cause, userId: userId ?? null })
  await owe(trx, 'support_access', id, { closed: true })
  await cancelSupportRequests(trx, actor)
}

/** What was agreed to for support staff is not agreed to for whoever comes through a later window. */
async function cancelSupportRequests(trx: Transaction, actor: Actor): Promise<void> {
  const { rows } = await sql<{ id: AccessRequestId }>`
    select t.id from access_request t join account_user u on u.id = t.user_id
    where u.support and t.state in ('pending', 'approved') and t.expires_at > app_clock() order by t.id for no key update of t`.execute(trx)
  for (const { id } of rows) await withdrawAccessRequest(trx, id, actor)
}

/** Every holder of a support lease is looked at, whatever has become of the window. */
async function oweSupportReviews(trx: Transaction): Promise<readonly AccessSubject[]> {
  const { rows } = await sql<{ id: UserId }>`select id from account_user where support order by id`.execute(trx)
  return oweUserReviews(
    trx,
    rows.map(({ id }) => id),
  )
}

/** How the window has ended that a lease of support staff began in; undefined: it is open. A later window gives nothing back. */
export async function endOfSupport(trx: Transaction, leaseId: LeaseId): Promise<'emergency' | 'revoked' | undefined> {
  const { rows } = await sql<{ emergency: boolean }>`
    select w.end_cause = 'emergency' as emergency from support_access w join lease l on l.started_at <= w.ended_at
    where l.id = ${leaseId}::uuid and w.state = 'ended' order by w.ended_at limit 1`.execute(trx)
  const [end] = rows
  return end && (end.emergency ? 'emergency' : 'revoked')
}

/** Leases that a window which is closed by now has left behind, and how they end. */
export async function listLeftLeases(trx: Transaction): Promise<{ readonly leaseIds: readonly LeaseId[]; readonly cause: 'emergency' | 'revoked' }> {
  const { rows } = await sql<{ id: LeaseId; emergency: boolean }>`
    select l.id, w.end_cause = 'emergency' as emergency
    from (select ended_at, end_cause from support_access where state = 'ended' order by ended_at desc limit 1) w
      join lease l on l.started_at <= w.ended_at
    where l.mode = 'support' and l.state = 'active' order by l.id`.execute(trx)
  return { leaseIds: rows.map(({ id }) => id), cause: rows[0]?.emergency === true ? 'emergency' : 'revoked' }
}

const record = (
  trx: Transaction,
  {
    id,
    action,
    actor,
    reason,
    expiresAt,
  }: { readonly id: string; readonly action: string; readonly actor: Actor; readonly reason?: Sealed; readonly expiresAt?: Date | null },
): Promise<void> =>
  appendAudit(trx, {
    actor,
    action: `support-access.${action}`,
    effect: 'permit',
    outcome: 'success',
    ...(reason === undefined ? {} : { reason }),
    ...(expiresAt ? { expiresAt } : {}),
    detail: { windowId: id },
  })

const tell = (
  trx: Transaction,
  id: string,
  kind: Extract<NoticeKind, `support_access.${string}`>,
  severity: NoticeSeverity,
  facts: Readonly<Record<string, string | null>>,
): Promise<string> => raiseNotice(trx, { kind, severity, subject: { type: 'support_access', id }, to: 'admins', facts })

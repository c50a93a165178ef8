import { sql } from 'kysely'
import type { ErrorCode } from '#schemas/errors.ts'
import type { AccountId, OrganizationId } from '#schemas/ids.ts'
import type { NoticeFacts } from '#schemas/notice-facts.ts'
import type { NoticeKind, NoticeSeverity, NoticeSubject } from '#schemas/notice.ts'
import type { ChannelSettings, ChannelType } from '#schemas/notification-channel.ts'
import { deadAfter, giveUpAfter, lanesPerChannel, laneWait, pauseAfterAttempts, sendHold } from '#schemas/rules/notification.ts'
import type { Sealed } from '#schemas/sealed.ts'
import { appendAudit } from './audit.ts'
import type { Db, Transaction } from './connection.ts'
import { owe } from './duties.ts'
import { raiseNotice } from './notice.ts'
import { nameFacts } from './notice-names.ts'

/** Where a message goes. */
export interface DeliveryTarget {
  /** Null: the mail of the installation. */
  readonly channel: { readonly id: string; readonly type: ChannelType; readonly settings: ChannelSettings; readonly sealed: Sealed } | null
  /** Of a mail. */
  readonly address: string | null
  /** Whose address it is; absent: nobody's in particular. */
  readonly userId?: string
}

/** A message that the caller may send now. */
export interface Claim {
  readonly deliveryId: string
  readonly attempts: number
  readonly notice: {
    readonly id: string
    readonly kind: NoticeKind
    readonly severity: NoticeSeverity
    readonly organizationId: OrganizationId | null
    readonly subject: NoticeSubject
    readonly facts: Readonly<Record<string, string | number | boolean | null>>
    readonly names: Readonly<Record<string, string>>
    readonly createdAt: string
  }
  readonly target: DeliveryTarget
}

/** What became of an attempt. `skipped`: there is nothing to send it by. */
export interface Outcome {
  readonly state: 'delivered' | 'refused' | 'skipped'
  /** A status or the class of a failure. */
  readonly receipt: string
}

/** The notice as its workflow sees it; undefined: there is none. */
export async function readNoticeFacts(trx: Transaction, noticeId: string): Promise<NoticeFacts | undefined> {
  const { rows } = await sql<Omit<NoticeFacts, 'pending'> & { readonly pending: NoticeFacts['pending'] | null }>`
    with clock as materialized (select app_clock() as now)
    select n.id as "noticeId", n.kind, n.severity,
      count(*) filter (where d.state = 'delivered')::int as delivered, count(*) filter (where d.state = 'failed')::int as failed,
      jsonb_agg(jsonb_build_object('deliveryId', d.id, 'attempts', d.attempts,
        'dueInMs', greatest(0, ceil(extract(epoch from greatest(d.next_at, d.claimed_until) - clock.now) * 1000))) order by d.id)
        filter (where d.state = 'pending') as pending
    from clock, notice n left join notice_delivery d on d.notice_id = n.id where n.id = ${noticeId}::uuid group by n.id, n.account_id`.execute(trx)
  const [row] = rows
  return row && { ...row, pending: row.pending ?? [] }
}

/**
 * Takes a message for whoever calls. While too many of its channel are on their way it is put off instead.
 *
 * @returns undefined: somebody else has it, it is not due, or its channel is full
 */
export async function claimDelivery(trx: Transaction, deliveryId: string): Promise<Claim | undefined> {
  const { rows } = await sql<ClaimRow>`
    update notice_delivery d set attempts = attempts + 1, claimed_until = app_clock() + ${interval(sendHold)}
    from notice n
    where d.id = ${deliveryId}::uuid and n.id = d.notice_id and d.state = 'pending' and d.next_at <= app_clock()
      and (d.claimed_until is null or d.claimed_until <= app_clock())
      and (select count(*) from notice_delivery o where o.state = 'pending' and o.claimed_until > app_clock()
        and o.channel_id is not distinct from d.channel_id and o.id <> d.id) < ${lanesPerChannel}::int
    returning d.attempts, d.channel_id, d.user_id, d.address, n.id, n.kind, n.severity, n.organization_id, n.subject_type, n.subject_id, n.facts, n.created_at`.execute(
    trx,
  )
  const [row] = rows
  if (row === undefined) {
    await sql`update notice_delivery set next_at = app_clock() + ${interval(laneWait)}
      where id = ${deliveryId}::uuid and state = 'pending' and next_at <= app_clock() and (claimed_until is null or claimed_until <= app_clock())`.execute(trx)
    return undefined
  }
  const subject = { type: row.subject_type, id: row.subject_id }
  return {
    deliveryId,
    attempts: row.attempts,
    notice: {
      id: row.id,
      kind: row.kind,
      severity: row.severity,
      organizationId: row.organization_id,
      subject,
      facts: row.facts,
      names: await nameFacts(trx, [subject.id, ...Object.values(row.facts)]),
      createdAt: row.created_at.toISOString(),
    },
    target: await readTarget(trx, row),
  }
}

/** Messages of critical notices, of all accounts, that have been due for `lateMs` and that nobody holds. @param expirer pool of leasehold_expirer */
export async function listLateUrgent(
  expirer: Db,
  lateMs: number,
  limit: number,
): Promise<readonly { readonly accountId: AccountId; readonly deliveryId: string }[]> {
  const { rows } = await sql<{ accountId: AccountId; deliveryId: string }>`
    select account_id as "accountId", id as "deliveryId" from notice_delivery
    where state = 'pending' and urgent and next_at + ${interval(lateMs)} <= app_clock(account_id) and (claimed_until is null or claimed_until <= app_clock(account_id))
    order by next_at limit ${limit}::int`.execute(expirer)
  return rows
}

interface ClaimRow {
  readonly attempts: number
  readonly channel_id: string | null
  readonly user_id: string | null
  readonly address: string | null
  readonly id: string
  readonly kind: NoticeKind
  readonly severity: NoticeSeverity
  readonly organization_id: OrganizationId | null
  readonly subject_type: NoticeSubject['type']
  readonly subject_id: string
  readonly facts: Claim['notice']['facts']
  readonly created_at: Date
}

/** The address is the one that the person has now. */
async function readTarget(trx: Transaction, { channel_id, user_id, address }: Pick<ClaimRow, 'channel_id' | 'user_id' | 'address'>): Promise<DeliveryTarget> {
  const { rows } = await sql<{ type: ChannelType | null; settings: ChannelSettings; ciphertext: Buffer; keyId: string; email: string | null }>`
    select c.type, c.settings, c.secret_ciphertext as ciphertext, c.secret_key_id as "keyId",
      coalesce(${address}::text, (select email from account_user where id = ${user_id}::uuid)) as email
    from (select 1) one left join notification_channel c on c.id = ${channel_id}::uuid`.execute(trx)
  const [found] = rows
  const channel =
    channel_id === null || !found?.type
      ? null
      : {
          id: channel_id,
          type: found.type,
          settings: found.settings,
          sealed: { encryptionVersion: 2 as const, keyId: found.keyId, ciphertext: found.ciphertext },
        }
  return { channel, address: found?.email ?? null, ...(user_id === null || address !== null ? {} : { userId: user_id }) }
}

/**
 * Writes down what an attempt was answered. A message that could not be sent is tried again later, or given up after a day; a
 * channel through which nothing gets any more is made known through the others, once.
 */
export async function recordOutcome(trx: Transaction, { deliveryId, attempts, notice, target }: Claim, outcome: Outcome): Promise<void> {
  const { state, receipt } = outcome
  const pause = pauseAfterAttempts(attempts)
  // The last two messages of a notice, ended at once, would each take the other one for pending.
  await sql`select pg_advisory_xact_lock(hashtextextended('notice ' || ${notice.id}::text, 0))`.execute(trx)
  const { rows } = await sql<{ over: boolean }>`
    update notice_delivery d set receipt = ${receipt}::text, claimed_until = null,
      state = case when ${state}::text <> 'refused' then ${state}::text
        when app_clock() + ${interval(pause)} > n.created_at + ${interval(giveUpAfter)} then 'failed' else 'pending' end,
      delivered_at = case when ${state}::text = 'delivered' then app_clock() end, next_at = app_clock() + ${interval(pause)}
    from notice n where d.id = ${deliveryId}::uuid and n.id = d.notice_id and d.state = 'pending' returning d.state <> 'pending' as over`.execute(trx)
  if (target.channel !== null && !isOurs(outcome)) await countOutcome(trx, target.channel.id, state)
  if (rows[0]?.over !== true) return
  const { rows: left } = await sql`select from notice_delivery where notice_id = ${notice.id}::uuid and state = 'pending' limit 1`.execute(trx)
  if (left.length === 0) await owe(trx, 'notification', notice.id, { closed: true })
}

const actor = { kind: 'system', id: 'notification' } as const

const away: ErrorCode = 'dependency-unavailable'

/**
 * There was nothing to send it by, or a server of ours was away: that says nothing about the channel. A secret that does not open
 * does: nothing will get through.
 */
const isOurs = ({ state, receipt }: Outcome): boolean => state === 'skipped' || receipt === away

async function countOutcome(trx: Transaction, channelId: string, state: Outcome['state']): Promise<void> {
  if (state === 'delivered') {
    const { rows } = await sql<{ was_dead: boolean }>`
      update notification_channel c set failures = 0, failing_since = null, dead_since = null
      from (select id, dead_since is not null as was_dead from notification_channel where id = ${channelId}::uuid for no key update) before
      where c.id = before.id and c.failures > 0 returning was_dead`.execute(trx)
    if (rows[0]?.was_dead === true) await recordChange(trx, channelId, 'notification-channel.recovered')
    return
  }
  const { rows } = await sql<{ organization_id: OrganizationId | null; type: ChannelType; failures: number; failing_since: Date }>`
    update notification_channel set failures = failures + 1, failing_since = coalesce(failing_since, app_clock()),
      dead_since = case when failures + 1 >= ${deadAfter}::int then coalesce(dead_since, app_clock()) end
    where id = ${channelId}::uuid returning organization_id, type, failures, failing_since`.execute(trx)
  const [channel] = rows
  if (channel?.failures !== deadAfter) return
  await recordChange(trx, channelId, 'notification-channel.died')
  await raiseNotice(trx, {
    kind: 'channel.dead',
    severity: 'warning',
    subject: { type: 'channel', id: channelId },
    organizationId: channel.organization_id,
    to: 'admins',
    facts: { channelType: channel.type, failures: channel.failures, failingSince: channel.failing_since.toISOString() },
  })
}

const recordChange = (trx: Transaction, channelId: string, action: string): Promise<void> =>
  appendAudit(trx, { actor, action, effect: 'permit', outcome: 'success', detail: { channelId } })

const interval = (ms: number) => sql`make_interval(secs => ${ms}::float8 / 1000)`

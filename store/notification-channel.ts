import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { ChannelId } from '#schemas/ids.ts'
import type { ChangeNotificationChannel, ChannelSettings, CreateNotificationChannel, NotificationChannel } from '#schemas/notification-channel.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import type { Sealed } from '#schemas/sealed.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import type { DeliveryTarget } from './notice-delivery.ts'
import { fieldsOf, merged } from './merged.ts'
import { inScope, pageClause, type Scope } from './page.ts'
import { expectVersion, refuseDuplicates } from './refusals.ts'

const columns = sql`id, organization_id as "organizationId", name, type, minimum_severity as "minimumSeverity", kinds, settings,
  case when dead_since is not null then 'dead' when failures > 0 then 'failing' else 'working' end as state,
  failing_since as "failingSince", version, created_at as "createdAt"`

type Row = Omit<NotificationChannel, 'createdAt' | 'failingSince'> & { readonly createdAt: Date; readonly failingSince: Date | null }
const fromRow = (row: Row): NotificationChannel => ({
  ...row,
  createdAt: row.createdAt.toISOString(),
  failingSince: row.failingSince?.toISOString() ?? null,
})

/** @throws LeaseholdError `not-found` */
export async function readChannel(trx: Transaction, id: ChannelId): Promise<NotificationChannel> {
  const { rows } = await sql<Row>`select ${columns} from notification_channel where id = ${id}::uuid and deleted_at is null`.execute(trx)
  if (rows[0] === undefined) throw new LeaseholdError('not-found')
  return fromRow(rows[0])
}

/** What is needed to send by it. @throws LeaseholdError `not-found` */
export async function readChannelTarget(trx: Transaction, id: ChannelId): Promise<NonNullable<DeliveryTarget['channel']>> {
  const { rows } = await sql<Pick<NotificationChannel, 'id' | 'type' | 'settings'> & { ciphertext: Buffer; keyId: string }>`
    select id, type, settings, secret_ciphertext as ciphertext, secret_key_id as "keyId" from notification_channel
    where id = ${id}::uuid and deleted_at is null`.execute(trx)
  if (rows[0] === undefined) throw new LeaseholdError('not-found')
  const { ciphertext, keyId, ...channel } = rows[0]
  return { ...channel, sealed: { encryptionVersion: 2, keyId, ciphertext } }
}

/** Channels of the whole account are in the scope of those who see all of it. */
export async function listChannels(trx: Transaction, scope: Scope, page: PageRequest): Promise<Page<NotificationChannel>> {
  const { rows } = await sql<Row>`
    select ${columns} from notification_channel
    where deleted_at is null and ${inScope(scope, sql`organization_id`)} ${pageClause(sql`id`, page)}`.execute(trx)
  return toPage(rows.map(fromRow), page.limit)
}

/**
 * @param settings what may be shown of them
 * @param secret the rest, sealed under the key of the account
 * @throws LeaseholdError `already-exists` (the name is taken)
 */
export async function createChannel(
  trx: Transaction,
  id: ChannelId,
  body: Omit<CreateNotificationChannel, 'settings'>,
  { settings, secret }: { readonly settings: ChannelSettings; readonly secret: Sealed },
  actor: Actor,
): Promise<NotificationChannel> {
  await refuseDuplicates(
    sql`
    insert into notification_channel (id, organization_id, name, type, minimum_severity, kinds, settings, secret_ciphertext, secret_key_id)
    values (${id}::uuid, ${body.organizationId}::uuid, ${body.name}::text, ${body.type}::text, ${body.minimumSeverity}::text, ${body.kinds}::text[],
      ${JSON.stringify(settings)}::jsonb, ${secret.ciphertext}::bytea, ${secret.keyId}::text)`.execute(trx),
  )
  await recordChange(trx, body, actor, 'created', { channelId: id, type: body.type })
  return readChannel(trx, id)
}

/**
 * @param expectedVersion from If-Match; absent: any
 * @throws LeaseholdError `not-found`, `precondition-failed`, `already-exists`
 */
export async function changeChannel(
  trx: Transaction,
  id: ChannelId,
  change: ChangeNotificationChannel,
  actor: Actor,
  expectedVersion?: number,
): Promise<NotificationChannel> {
  const before = await lockChannel(trx, id)
  expectVersion(before.version, expectedVersion)
  const after = merged(before, change)
  await refuseDuplicates(
    sql`
    update notification_channel set name = ${after.name}::text, minimum_severity = ${after.minimumSeverity}::text, kinds = ${after.kinds}::text[],
      version = version + 1 where id = ${id}::uuid`.execute(trx),
  )
  await recordChange(trx, before, actor, 'changed', { channelId: id, fields: fieldsOf(change) })
  return readChannel(trx, id)
}

/** What was raised before is still sent by it. @throws LeaseholdError `not-found`, `precondition-failed` */
export async function deleteChannel(trx: Transaction, id: ChannelId, actor: Actor, expectedVersion?: number): Promise<void> {
  const before = await lockChannel(trx, id)
  expectVersion(before.version, expectedVersion)
  await sql`update notification_channel set deleted_at = app_clock(), version = version + 1 where id = ${id}::uuid`.execute(trx)
  await recordChange(trx, before, actor, 'deleted', { channelId: id })
}

/** A test message went out. */
export const recordChannelTest = (trx: Transaction, channel: NotificationChannel, actor: Actor, receipt: string): Promise<void> =>
  recordChange(trx, channel, actor, 'tested', { channelId: channel.id, receipt })

async function lockChannel(trx: Transaction, id: ChannelId): Promise<NotificationChannel> {
  await sql`select from notification_channel where id = ${id}::uuid for no key update`.execute(trx)
  return readChannel(trx, id)
}

const recordChange = (
  trx: Transaction,
  { organizationId }: Pick<NotificationChannel, 'organizationId'>,
  actor: Actor,
  verb: string,
  detail: Readonly<Record<string, unknown>>,
): Promise<void> =>
  appendAudit(trx, {
    actor,
    action: `notification-channel.${verb}`,
    effect: 'permit',
    outcome: 'success',
    ...(organizationId === null ? {} : { organizationId }),
    detail,
  })

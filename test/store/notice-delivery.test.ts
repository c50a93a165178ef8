import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createSend } from '#activities/channels/send.ts'
import { deliverAll } from '#activities/notification.ts'
import { ChannelId, OrganizationId } from '#schemas/ids.ts'
import type { CreateNotificationChannel } from '#schemas/notification-channel.ts'
import { deadAfter, giveUpAfter, lanesPerChannel, pauseAfterAttempts, sendHold } from '#schemas/rules/notification.ts'
import { createAccountKeys } from '#secrets/account-key.ts'
import { createOpenBao } from '#secrets/openbao.ts'
import { inAccount, type Db } from '#store/connection.ts'
import { readNoticeFigures } from '#store/notice-figures.ts'
import { claimDelivery, readNoticeFacts, recordOutcome, type Claim, type Outcome } from '#store/notice-delivery.ts'
import { findNotice } from '#store/notice-view.ts'
import { raiseNotice, urgentNotices, type Notice } from '#store/notice.ts'
import { createChannel, deleteChannel, readChannel } from '#store/notification-channel.ts'
import { createOrganization } from '#store/organization.ts'
import { createTestAccount, type TestAccount } from '../support/account.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
let db: Db
let account: TestAccount<'mia' | 'ola' | 'sam'>
beforeAll(async () => {
  database = await createTestDatabase()
  db = database.as('leasehold_api', 8)
})
afterAll(() => database?.end())
beforeEach(async () => {
  account = await createTestAccount(database, db, { mia: 'owner', ola: ['pam_vaults.manage'], sam: ['pam_vaults.view'] })
  await account.run((trx) => createOrganization(trx, OrganizationId.parse(organizationIdOf()), { name: 'main' }, account.people.mia.actor))
})
const organizationIdOf = () => (organizations[account.id] ??= OrganizationId.parse(randomUUID()))
const organizations: Record<string, OrganizationId> = {}

const subject = { type: 'user', id: randomUUID() } as const
const raise = (fields: Partial<Notice> = {}) =>
  account.run((trx) => raiseNotice(trx, { kind: 'break_glass.opened', severity: 'critical', subject, to: 'admins', ...fields }))
const addChannel = (fields: Partial<CreateNotificationChannel> = {}) =>
  account.run(async (trx) => {
    const body = { name: randomUUID(), type: 'webhook', organizationId: null, minimumSeverity: 'info', kinds: null, settings: {}, ...fields } as const
    const secret = { encryptionVersion: 2, keyId: 'a1', ciphertext: Buffer.alloc(40) } as const
    return createChannel(trx, ChannelId.parse(randomUUID()), body, { settings: body.settings, secret }, account.people.mia.actor)
  })
const deliveriesOf = async (noticeId: string) => (await account.run((trx) => findNotice(trx, { all: true }, noticeId)))?.deliveries ?? []
const pendingOf = async (noticeId: string) => (await account.run((trx) => readNoticeFacts(trx, noticeId)))?.pending ?? []
const claim = (deliveryId: string) => account.run((trx) => claimDelivery(trx, deliveryId))
const record = (claimed: Claim, state: Outcome['state'], receipt = 'x') => account.run((trx) => recordOutcome(trx, claimed, { state, receipt }))
const pass = (ms: number) =>
  database.superuser(
    `insert into clock_shift values ($1, make_interval(secs => $2::float8)) on conflict (account_id) do update set shift = clock_shift.shift + excluded.shift`,
    [account.id, ms / 1_000],
  )
const claimed = async (noticeId: string): Promise<Claim> => {
  const [first] = await pendingOf(noticeId)
  const taken = await claim(first?.deliveryId ?? '')
  if (taken === undefined) throw new Error('it could not be taken')
  return taken
}

describe('a notice becomes', () => {
  test('a mail to each administrator of the instant and one message per channel, whatever a channel wants, when it is critical', async () => {
    const picky = await addChannel({ minimumSeverity: 'critical', kinds: ['rotation.stuck'] })
    const own = await addChannel({ type: 'smtp' })
    const listed = await addChannel({ type: 'smtp', settings: { to: ['a@x.example', 'b@x.example'] } })
    const id = await raise()
    const { mia, ola } = account.people
    const got = (await deliveriesOf(id)).map(({ channelId, userId, address }) => [channelId, userId, address].join()).sort()
    const wanted = [
      [picky.id, null, null],
      ...[mia, ola].flatMap(({ userId }) => [
        [own.id, userId, null],
        [null, userId, null],
      ]),
      [listed.id, null, 'a@x.example'],
      [listed.id, null, 'b@x.example'],
    ]
    expect(got).toEqual(wanted.map((each) => each.join()).sort())
  })

  test('what severity and kind of a channel say, when it is not', async () => {
    const all = await addChannel()
    await addChannel({ minimumSeverity: 'critical' })
    await addChannel({ kinds: ['rotation.stuck'] })
    const id = await raise({ severity: 'warning' })
    expect((await deliveriesOf(id)).map(({ channelId }) => channelId).filter(Boolean)).toEqual([all.id])
  })

  test('one mail to a person, not two, where the account has a mail channel of its own and it is not critical', async () => {
    const own = await addChannel({ type: 'smtp' })
    const id = await raise({ severity: 'info', to: [account.people.sam.userId] })
    expect((await deliveriesOf(id)).map(({ channelId, userId }) => [channelId, userId])).toEqual([[own.id, account.people.sam.userId]])
  })

  test('a mail of the installation besides where the mail channel of the account is dead, whoever raises it', async () => {
    const { sam } = account.people
    const own = await addChannel({ type: 'smtp' })
    await database.superuser('update notification_channel set failures = $2, dead_since = now() where id = $1', [own.id, deadAfter])
    const notice = { kind: 'host.drifted', severity: 'warning', subject, to: [sam.userId] } as const
    const id = await inAccount(database.as('leasehold_bridge', 1), account.id, (trx) => raiseNotice(trx, notice))
    const got = (await deliveriesOf(id)).map(({ channelId, userId }) => [channelId, userId])
    expect(got).toHaveLength(2)
    expect(got).toEqual(expect.arrayContaining([own.id, null].map((channelId) => [channelId, sam.userId])))
  })

  test('messages of the organization that it is about, and of no other', async () => {
    const other = OrganizationId.parse(randomUUID())
    await account.run((trx) => createOrganization(trx, other, { name: 'other' }, account.people.mia.actor))
    const mine = await addChannel({ organizationId: organizationIdOf() })
    await addChannel({ organizationId: other })
    const id = await raise({ organizationId: organizationIdOf() })
    expect((await deliveriesOf(id)).map(({ channelId }) => channelId).filter(Boolean)).toEqual([mine.id])
  })

  test('a duty of its workflow, and something that whoever commits it tries at once when it is critical', async () => {
    const urgent = await account.run(async (trx) => {
      const raised = { kind: 'rotation.stuck', subject, to: 'admins' } as const
      const [id] = [await raiseNotice(trx, { ...raised, severity: 'critical' }), await raiseNotice(trx, { ...raised, severity: 'warning' })]
      return [id, urgentNotices(trx)]
    })
    expect(urgent[1]).toEqual([urgent[0]])
    const { rows } = await database.superuser(`select kind, closed from obligation where subject_id = $1`, [urgent[0]])
    expect(rows).toEqual([{ kind: 'notification', closed: false }])
  })

  test('nothing that is owed where there is nobody to tell', async () => {
    await database.superuser('update account_user set email = null where id = $1', [account.people.sam.userId])
    const ids = [await raise({ to: [] }), await raise({ severity: 'info', to: [account.people.sam.userId] })]
    expect((await database.superuser('select from obligation where subject_id = any($1)', [ids])).rowCount).toBe(0)
  })

  test('what is still sent by a channel that was removed afterwards', async () => {
    const channel = await addChannel()
    const id = await raise({ to: [] })
    await account.run((trx) => deleteChannel(trx, channel.id, account.people.mia.actor))
    expect(await claimed(id)).toMatchObject({ target: { channel: { id: channel.id } } })
    expect(await deliveriesOf(await raise({ to: [] }))).toEqual([])
  })
})

describe('a message', () => {
  beforeEach(async () => void (await addChannel()))

  test('is held by one at a time, and free again when that one has died', async () => {
    const id = await raise({ to: [] })
    const [{ deliveryId } = { deliveryId: '' }] = await pendingOf(id)
    const takers = await Promise.all(Array.from({ length: 6 }, () => claim(deliveryId)))
    expect(takers.filter((taker) => taker !== undefined)).toHaveLength(1)
    expect((await pendingOf(id))[0]?.dueInMs).toBeGreaterThan(sendHold - 10_000)
    await pass(sendHold)
    expect(await claim(deliveryId)).toMatchObject({ attempts: 2, notice: { id } })
  })

  test('is tried again after 1, 2, 4 … seconds, at most 5 minutes, and given up after a day', async () => {
    const id = await raise({ to: [] })
    let waited = 0
    for (let attempt = 1; attempt <= 12; attempt += 1) {
      await record(await claimed(id), 'refused', 'http 500')
      const [left] = await pendingOf(id)
      const pause = Math.min(1_000 * 2 ** (attempt - 1), 300_000)
      expect(left?.dueInMs).toBeLessThanOrEqual(pause)
      expect(left?.dueInMs).toBeGreaterThan(pause - 5_000)
      await pass(pause)
      waited += pause
    }
    await pass(giveUpAfter - waited - pauseAfterAttempts(20) - 60_000)
    await record(await claimed(id), 'refused', 'http 500')
    await pass(pauseAfterAttempts(20))
    await record(await claimed(id), 'refused', 'http 500')
    expect(await deliveriesOf(id)).toMatchObject([{ state: 'failed', receipt: 'http 500' }])
    expect(await pendingOf(id)).toEqual([])
    expect((await database.superuser(`select closed from obligation where subject_id = $1`, [id])).rows).toEqual([{ closed: true }])
  }, 60_000)

  test('is delivered once: what a second sender says afterwards changes nothing', async () => {
    const id = await raise({ to: [] })
    const mine = await claimed(id)
    await record(mine, 'delivered', 'http 204')
    await record(mine, 'refused', 'http 500')
    expect(await deliveriesOf(id)).toMatchObject([{ state: 'delivered', receipt: 'http 204', attempts: 1 }])
  })
})

test('a notice whose last messages end at the same instant is over', async () => {
  await Promise.all(Array.from({ length: 6 }, () => addChannel()))
  const id = await raise({ to: [] })
  const claims = await Promise.all((await pendingOf(id)).map(({ deliveryId }) => claim(deliveryId)))
  await Promise.all(claims.map((taken) => record(taken as Claim, 'delivered')))
  expect((await database.superuser(`select closed from obligation where subject_id = $1`, [id])).rows).toEqual([{ closed: true }])
})

test('an installation of before: duties of notices without messages that are left are ended, and no others', async () => {
  const left = await raise({ to: [] })
  const sending = await raise()
  await database.superuser(`insert into obligation (account_id, kind, subject_id) values ($1, 'notification', $2), ($1, 'lease', $2)`, [account.id, left])
  await database.superuser('drop table reencryption_failure')
  const owner = new pg.Client({ connectionString: database.ownerUrl })
  await owner.connect()
  await owner.query(await readFile(path.join(import.meta.dirname, '../../store/migrations/0116-loose-ends.sql'), 'utf8')).finally(() => owner.end())
  const { rows } = await database.superuser('select subject_id, kind, closed from obligation where subject_id = any($1) order by closed, kind', [
    [left, sending],
  ])
  expect(rows).toEqual([
    { subject_id: left, kind: 'lease', closed: false },
    { subject_id: sending, kind: 'notification', closed: false },
    { subject_id: left, kind: 'notification', closed: true },
  ])
  const { rows: forced } = await database.superuser(`select relforcerowsecurity from pg_class where relname in ('obligation', 'notice_delivery')`)
  expect(forced).toEqual([{ relforcerowsecurity: true }, { relforcerowsecurity: true }])
})

describe('a channel that does not work', () => {
  test(`is made known through the others after ${deadAfter} failures in a row, once, and audited; a success makes it good again`, async () => {
    const broken = await addChannel()
    const good = await addChannel()
    const failOnce = async () => {
      const id = await raise({ to: [] })
      const [mine] = (await deliveriesOf(id)).filter(({ channelId }) => channelId === broken.id)
      const taken = await claim(mine?.id ?? '')
      return taken as Claim
    }
    for (let failure = 1; failure <= deadAfter + 2; failure += 1) await record(await failOnce(), 'refused', 'ECONNREFUSED')
    expect((await account.run((trx) => readChannel(trx, broken.id))).state).toBe('dead')
    const { rows: alarms } = await database.superuser(`select id from notice where account_id = $1 and kind = 'channel.dead' and subject_id = $2`, [
      account.id,
      broken.id,
    ])
    expect(alarms).toHaveLength(1)
    const carried = await deliveriesOf(alarms[0].id)
    expect(carried.map(({ channelId }) => channelId).filter(Boolean)).toEqual([good.id])
    expect(carried.filter(({ userId }) => userId !== null)).toHaveLength(2)
    await record(await failOnce(), 'delivered', 'http 200')
    expect(await account.run((trx) => readChannel(trx, broken.id))).toMatchObject({ state: 'working', failingSince: null })
    const { rows: events } = await database.superuser(
      `select action from audit_event where account_id = $1 and action like 'notification-channel.%' order by id`,
      [account.id],
    )
    expect(events.map(({ action }) => action)).toEqual(
      expect.arrayContaining(['notification-channel.created', 'notification-channel.died', 'notification-channel.recovered']),
    )
  })

  test('is not one because of what is ours: OpenBao is away, or there is nothing to send by', async () => {
    const channel = await addChannel()
    const nobody = createOpenBao({ url: 'http://127.0.0.1:9', roleId: 'x', secretId: 'x' })
    const send = createSend({ accountKeys: createAccountKeys(nobody), reach: { mayReach: () => true }, mail: undefined, plainAllowed: true })
    for (let failure = 1; failure <= deadAfter; failure += 1) {
      const id = await raise({ to: [] })
      await deliverAll({ db, send }, account.id, id)
      expect(await deliveriesOf(id)).toMatchObject([{ state: 'pending', attempts: 1, receipt: 'dependency-unavailable' }])
      await record(await claimed(await raise({ to: [] })), 'skipped', 'no-mail-server')
    }
    expect(await account.run((trx) => readChannel(trx, channel.id))).toMatchObject({ state: 'working', failingSince: null })
    await record(await claimed(await raise({ to: [] })), 'refused', 'decryption-failed')
    expect((await account.run((trx) => readChannel(trx, channel.id))).state).toBe('failing')
  })

  test('has a bounded number of messages on their way; another channel is not kept waiting', async () => {
    await addChannel()
    const ids = await Promise.all(Array.from({ length: lanesPerChannel + 2 }, () => raise({ to: [] })))
    const taken: (Claim | undefined)[] = []
    for (const id of ids) for (const { deliveryId } of await pendingOf(id)) taken.push(await claim(deliveryId))
    expect(taken.filter((each) => each !== undefined)).toHaveLength(lanesPerChannel)
    expect((await pendingOf(ids.at(-1) ?? ''))[0]).toMatchObject({ attempts: 0 })
    await addChannel()
    const next = await raise({ to: [] })
    const claims = await Promise.all((await pendingOf(next)).map(({ deliveryId }) => claim(deliveryId)))
    expect(claims.filter((each) => each !== undefined)).toHaveLength(1)
  })
})

test('what was tried and does not arrive is counted over all accounts, the mail of the installation apart', async () => {
  const expirer = database.as('leasehold_expirer', 1)
  const figures = async () => Object.fromEntries((await readNoticeFigures(expirer)).map(({ carrier, ...figure }) => [carrier, figure]))
  const before = await figures()
  const claims = await Promise.all(
    (await pendingOf(await raise({ severity: 'warning', to: [account.people.sam.userId] }))).map(({ deliveryId }) => claim(deliveryId)),
  )
  const [mail] = claims as [Claim]
  expect(mail.target.channel).toBeNull()
  await record(mail, 'refused', 'ECONNREFUSED')
  const failing = await figures()
  expect(failing['installation_mail']?.undelivered).toBe((before['installation_mail']?.undelivered ?? 0) + 1)
  expect(failing['channel']).toMatchObject({ undelivered: before['channel']?.undelivered })
  expect(failing['installation_mail']?.oldestSeconds).toBeGreaterThan(0)
  await pass(pauseAfterAttempts(1))
  await record((await claim(mail.deliveryId)) as Claim, 'delivered', 'smtp 250')
  expect((await figures())['installation_mail']?.undelivered).toBe(before['installation_mail']?.undelivered)
})

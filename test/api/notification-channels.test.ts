import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { reachable } from '#activities/channels/networks.ts'
import { createSend } from '#activities/channels/send.ts'
import { announcing } from '#api/announcing.ts'
import { AccountId } from '#schemas/ids.ts'
import { createAccountKeys } from '#secrets/account-key.ts'
import { createOpenBao } from '#secrets/openbao.ts'
import { createFirstTries } from '#server/first-tries.ts'
import { acme } from '#stack/people.ts'
import { raiseNotice } from '#store/notice.ts'
import { sharedOpenBao } from '../support/openbao.ts'
import { createHookReceiver, createMailReceiver, type HookReceiver, type MailReceiver } from '../support/receivers.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
let hook: HookReceiver
let mail: MailReceiver
let firstTries: ReturnType<typeof createFirstTries>
beforeAll(async () => {
  hook = await createHookReceiver()
  mail = await createMailReceiver()
  await Promise.all([hook.start(), mail.start()])
  const { url, login } = sharedOpenBao()
  const send = createSend({
    accountKeys: createAccountKeys(createOpenBao({ url, ...login('leasehold-worker') })),
    reach: { mayReach: reachable(['127.0.0.0/8']) },
    mail: { url: mail.url, from: 'leasehold@acme.example', plainAllowed: true },
    plainAllowed: true,
  })
  // There is no worker and no relay in this world: what goes out is tried by whoever commits.
  world = await createApiWorld({ notices: { announce: (...what) => firstTries.announce(...what), send } })
  firstTries = createFirstTries({ db: world.parts.db, send, log: world.parts.log })
})
afterAll(async () => {
  await firstTries?.settled()
  await world?.end()
  await Promise.all([hook?.stop(), mail?.stop()])
})
afterEach(() => {
  hook.hooks.length = 0
  mail.mails.length = 0
})

const path = '/v1/notification-channels'
const webhook = (fields: object = {}) => ({ name: randomUUID(), type: 'webhook', settings: { url: `${hook.url}/path-of-the-secret?token=x` }, ...fields })
const add = async (body: object = webhook()) => {
  const answer = await world.post('mia', path, body)
  expect([answer.status, answer.body.detail]).toEqual([201, undefined])
  return answer.body
}
const remove = (id: string) => world.call('mia', 'DELETE', `${path}/${id}`)

describe('a notification channel', () => {
  test('is made, read, changed and removed; its secret is answered once and lies sealed', async () => {
    const made = await add()
    expect(made).toMatchObject({
      type: 'webhook',
      organizationId: null,
      minimumSeverity: 'info',
      kinds: null,
      settings: { url: hook.url },
      state: 'working',
      version: 1,
    })
    expect(made.secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/)
    const { secret: _secret, ...shown } = made
    expect((await world.call('axe', 'GET', `${path}/${made.id}`)).body).toEqual(shown)
    expect((await world.call('axe', 'GET', path)).body.items).toEqual([shown])
    const changed = await world.call('mia', 'PATCH', `${path}/${made.id}`, {
      body: { minimumSeverity: 'warning', kinds: ['rotation.stuck'] },
      headers: { 'if-match': '"1"' },
    })
    expect([changed.status, changed.body.minimumSeverity, changed.body.kinds, changed.body.version]).toEqual([200, 'warning', ['rotation.stuck'], 2])
    const { rows } = await world.database.superuser('select c::text as text from notification_channel c')
    for (const hidden of [made.secret, made.secret.slice(6), 'path-of-the-secret']) expect(rows.map(({ text }) => text).join()).not.toContain(hidden)
    expect((await remove(made.id)).status).toBe(204)
    expect((await world.call('mia', 'GET', `${path}/${made.id}`)).status).toBe(404)
    const { items } = (await world.call('mia', 'GET', '/v1/audit/events?limit=50')).body
    const actions = items
      .filter(({ detail }: { detail: { channelId?: string } | null }) => detail?.channelId === made.id)
      .map(({ action }: { action: string }) => action)
    expect(actions).toEqual(['notification-channel.deleted', 'notification-channel.changed', 'notification-channel.created'])
  })

  test('is made once per Idempotency-Key, and the repeated answer has no secret', async () => {
    const headers = { 'idempotency-key': randomUUID() }
    const body = webhook()
    const [first, second] = [await world.post('mia', path, body, headers), await world.post('mia', path, body, headers)]
    expect(second.body).toEqual({ ...first.body, secret: null })
    await remove(first.body.id)
  })

  test.each<[string, object, string]>([
    ['without a URL', { type: 'webhook', settings: {} }, 'settings.url'],
    ['with a URL of another kind', { type: 'webhook', settings: { url: 'ftp://x.example' } }, 'settings.url'],
    ['with a user in its URL', { type: 'slack', settings: { url: 'https://a:b@x.example' } }, 'settings.url'],
    ['with something that is no URL', { type: 'slack', settings: { url: 'x' } }, 'settings.url'],
    ['with a setting of another type', { type: 'webhook', settings: { url: 'https://x.example', from: 'a@x.example' } }, 'settings.from'],
    ['with wildcards in its subject', { type: 'nats', settings: { url: 'tls://x.example:4222', subject: 'notices.>' } }, 'settings.subject'],
    ['with a password of nobody', { type: 'smtp', settings: { url: 'smtps://x.example', password: 'x' } }, 'settings.password'],
    ['with a sender of its own on the mail server of the installation', { type: 'smtp', settings: { from: 'boss@acme.example' } }, 'settings.from'],
    ['for a kind that does not exist', { type: 'smtp', settings: {}, kinds: ['x.y'] }, 'kinds.0'],
    ['without a name', { type: 'smtp', settings: {}, name: '' }, 'name'],
  ])('%s is refused with 422', async (_, body, place) => {
    const { status, body: problem } = await world.post('mia', path, { name: randomUUID(), ...body })
    expect([status, problem.errors.map((error: { path: string }) => error.path)]).toEqual([422, [place]])
  })

  test('of an organization is made by whoever manages that, and of the account by whoever manages all of it', async () => {
    const { organizationId } = world
    expect((await world.post('sam', path, webhook())).status).toBe(403)
    expect((await world.post('ola', path, webhook({ organizationId }))).status).toBe(201)
    expect((await world.post('gus', path, webhook({ organizationId }))).status).toBe(404)
  })

  test('is tested: the answer says what the receiver answered, and it is audited', async () => {
    const made = await add()
    const attempt = async () => (await world.post('mia', `${path}/${made.id}/test`)).body
    expect(await attempt()).toMatchObject({ delivered: true, receipt: 'http 204' })
    expect(JSON.parse(hook.hooks[0]?.body ?? '')).toMatchObject({ type: 'leasehold.notice.channel.test' })
    hook.answer({ status: 500, body: 'words' })
    expect(await attempt()).toMatchObject({ delivered: false, receipt: 'http 500' })
    hook.answer({ status: 204 })
    const own = await add({ name: randomUUID(), type: 'smtp', settings: {} })
    expect((await world.post('mia', `${path}/${own.id}/test`)).body).toMatchObject({ delivered: true, receipt: 'smtp 250' })
    expect(mail.mails.map(({ to }) => to)).toEqual([['mia@acme.example']])
    await Promise.all([remove(made.id), remove(own.id)])
  })
})

describe('a critical notice', () => {
  const subject = { type: 'user', id: acme.users[2]?.id ?? '' } as const
  const raise = (fields: object = {}) =>
    announcing(world.parts, AccountId.parse(acme.id), (trx) =>
      raiseNotice(trx, { kind: 'break_glass.opened', severity: 'critical', subject, to: 'admins', facts: { userId: subject.id }, ...fields }),
    )
  const read = async (sub: string, id: string) => (await world.call(sub, 'GET', `/v1/notices/${id}`)).body

  test('goes out at once by the process that committed it, without worker, relay or Temporal', async () => {
    const made = await add()
    const id = await raise()
    await expect
      .poll(async () => (await read('mia', id)).deliveries.map(({ state }: { state: string }) => state), { timeout: 10_000 })
      .toEqual(Array(3).fill('delivered'))
    expect(mail.mails.flatMap(({ to }) => to).sort()).toEqual(['mia@acme.example', 'ola@acme.example'])
    expect(mail.mails[0]?.text).toContain('user: Sam Operator')
    expect(hook.hooks.map(({ headers }) => headers['webhook-id'])).toEqual([id])
    await remove(made.id)
  })

  test('is not kept from people by a channel that hangs', async () => {
    hook.answer('hang')
    const made = await add()
    const id = await raise()
    await expect.poll(() => mail.mails.length, { timeout: 5_000 }).toBe(2)
    const states = (await read('mia', id)).deliveries.map(({ channelId, state }: { channelId: string | null; state: string }) => [channelId === null, state])
    expect(states).toContainEqual([false, 'pending'])
    await firstTries.settled()
    hook.answer({ status: 204 })
    await remove(made.id)
  }, 30_000)

  test('that was rolled back is told to nobody', async () => {
    const failing = announcing(world.parts, AccountId.parse(acme.id), async (trx) => {
      await raiseNotice(trx, { kind: 'break_glass.opened', severity: 'critical', subject, to: 'admins' })
      throw new Error('the fact is refused')
    })
    await expect(failing).rejects.toThrow()
    await firstTries.settled()
    expect(mail.mails).toEqual([])
  })

  test('is read by administrators with all its messages, by those it is for with theirs, and by nobody else', async () => {
    const id = await raise({ severity: 'warning', to: [acme.users[2]?.id, acme.users[3]?.id] })
    expect((await read('ola', id)).deliveries).toHaveLength(2)
    const own = await read('sam', id)
    expect(own).toMatchObject({ id, kind: 'break_glass.opened', title: expect.stringContaining('Break-glass') })
    expect(own.deliveries.map(({ userId }: { userId: string }) => userId)).toEqual([acme.users[2]?.id])
    expect((await world.call('sam', 'GET', '/v1/notices')).body.items).toEqual([own])
    expect([(await world.call('axe', 'GET', `/v1/notices/${id}`)).status, (await world.call('gus', 'GET', `/v1/notices/${id}`)).status]).toEqual([404, 404])
    expect((await world.call('axe', 'GET', '/v1/notices')).body.items).toEqual([])
    expect(
      (await world.call('ola', 'GET', `/v1/notices?severity=warning&kind=break_glass.opened&subjectId=${subject.id}`)).body.items.map(
        (item: { id: string }) => item.id,
      ),
    ).toEqual([id])
  })
})

import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { AccountId } from '#schemas/ids.ts'
import { apiClient, expectStatus, type ApiClient } from '#stack/api-client.ts'
import { stackCredentials } from '#stack/credentials.ts'
import { readHome, type Home } from '#stack/home.ts'
import { accessToken } from '#stack/login.ts'
import { acme } from '#stack/people.ts'
import { startStack, type Stack } from '#stack/test-stack.ts'
import { connect, inAccount, type Db } from '#store/connection.ts'
import { raiseNotice } from '#store/notice.ts'
import { createHookReceiver, createMailReceiver, type HookReceiver, type MailReceiver } from '../support/receivers.ts'

/** How long both receivers are down: 5 s, or what LEASEHOLD_TEST_RECEIVERS_AWAY says, ms. */
const awayMs = Number(process.env['LEASEHOLD_TEST_RECEIVERS_AWAY'] ?? 5_000)

let stack: Stack
let mail: MailReceiver
let hook: HookReceiver
let mia: ApiClient
let db: Db
beforeAll(async () => {
  mail = await createMailReceiver()
  hook = await createHookReceiver()
  stack = await startStack({ roleEnvironment: { LEASEHOLD_SMTP_URL: mail.url, LEASEHOLD_NOTIFICATION_NETWORKS: '127.0.0.0/8' } })
  mia = apiClient(stack.urls.api, await accessToken({ home: stack.home, user: 'mia', acr: 'mfa' }))
  const { postgres } = stackCredentials(readHome(stack.home) as Home)
  db = connect({ url: stack.urls.postgres, user: 'leasehold_api', password: postgres.leasehold_api, max: 1 })
}, 240_000)
afterAll(async () => {
  await db?.destroy()
  await stack?.stop()
  await mail?.stop()
  await hook?.stop()
})

/** A fact that every administrator must hear of. */
const raise = () =>
  inAccount(db, AccountId.parse(acme.id), (trx) =>
    raiseNotice(trx, { kind: 'break_glass.opened', severity: 'critical', subject: { type: 'user', id: acme.users[2]?.id ?? '' }, to: 'admins' }),
  )

interface Notice {
  readonly deliveries: readonly { readonly state: string; readonly attempts: number; readonly receipt: string }[]
}
const admins = acme.users.filter(({ sub }) => sub === 'mia' || sub === 'ola').map(({ email }) => email)

test('a critical notice reaches every administrator and the webhook although both receivers were down at first, once per id', async () => {
  const made = expectStatus(
    await mia.post<{ id: string; secret: string }>('/v1/notification-channels', {
      name: 'on call',
      type: 'webhook',
      settings: { url: `${hook.url}/path?token=x` },
    }),
    201,
  )
  const id = await raise()
  await sleep(awayMs)
  expect(expectStatus(await mia.get<Notice>(`/v1/notices/${id}`), 200).deliveries.map(({ state }) => state)).toEqual(['pending', 'pending', 'pending'])
  await Promise.all([mail.start(), hook.start()])

  const look = { timeout: 20_000 + 2 * awayMs, interval: 100 }
  await expect
    .poll(async () => expectStatus(await mia.get<Notice>(`/v1/notices/${id}`), 200).deliveries.map(({ state }) => state), look)
    .toEqual(Array(3).fill('delivered'))
  // At least once, by one id: who was told twice can tell. After a minute people also hear that the channel does not work.
  const mailed = mail.mails.filter(({ messageId }) => messageId === `${id}@notices.leasehold`).flatMap(({ to }) => to)
  expect([...new Set(mailed)].sort()).toEqual([...admins].sort())
  expect(hook.hooks.map(({ headers }) => headers['webhook-id'])).toContain(id)
  const { headers, body } = hook.hooks.find((each) => each.headers['webhook-id'] === id) ?? { headers: {}, body: '' }
  expect(new Webhook(made.secret).verify(body, headers as Record<string, string>)).toMatchObject({ type: 'leasehold.notice.break_glass.opened', data: { id } })
}, 180_000)

test('with Temporal and workers stopped a critical notice goes out all the same, and nothing is sent again when they are back', async () => {
  const secret = { name: randomUUID(), type: 'webhook', settings: { url: hook.url } }
  expectStatus(await mia.post('/v1/notification-channels', secret), 201)
  await Promise.all([stack.hold('temporal', 'SIGKILL'), stack.hold('worker-1', 'SIGKILL')])
  mail.mails.length = 0
  hook.hooks.length = 0
  const { id } = expectStatus(await mia.put<{ id: string }>('/v1/support-access', { enabled: true, reason: 'A test' }), 200)
  const ended = expectStatus(await mia.post<{ endCause: string }>('/v1/support-access/emergency-disable', {}), 200)
  expect(ended.endCause).toBe('emergency')
  const read = async () => {
    const { items } = expectStatus(await mia.get<{ items: (Notice & { id: string })[] }>(`/v1/notices?subjectId=${id}&severity=critical`), 200)
    return items[0] as (typeof items)[number]
  }
  const told = await read()
  await expect
    .poll(
      () =>
        mail.mails
          .filter(({ messageId }) => messageId.startsWith(told.id))
          .flatMap(({ to }) => to)
          .sort(),
      { timeout: 20_000 },
    )
    .toEqual([...admins].sort())
  const heard = () => hook.hooks.filter(({ headers }) => headers['webhook-id'] === told.id).length
  await expect.poll(heard, { timeout: 20_000 }).toBe(2)

  await stack.restart('temporal')
  await stack.restart('worker-1')
  // What was not urgent waited for them.
  await expect.poll(() => mail.mails.filter(({ text }) => text.includes('Support access was enabled')).length, { timeout: 60_000 }).toBe(admins.length)
  expect((await read()).deliveries.map(({ state, attempts }) => [state, attempts])).toEqual(Array(4).fill(['delivered', 1]))
  expect([mail.mails.filter(({ messageId }) => messageId.startsWith(told.id)).length, heard()]).toEqual([2, 2])
}, 180_000)

import { readFileSync } from 'node:fs'
import path from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTrust } from '#server/trust.ts'
import { apiClient, expectStatus, type ApiAnswer, type ApiClient } from '#stack/api-client.ts'
import { accessToken } from '#stack/login.ts'
import { startStack, type Stack } from '#stack/test-stack.ts'
import { runTour } from '#stack/run-tour.ts'
import { readHome, type Home } from '#stack/home.ts'
import { storyFromHistory, type LeaseStory } from './lease-story.ts'

interface Lease {
  readonly id: string
  readonly rotationId: string | null
}
interface Credential {
  readonly username: string
  readonly value: string
}
interface Checkout {
  readonly lease: Lease
  readonly credential: Credential
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

let stack: Stack
let sam: ApiClient
let ids: Map<string, string>

beforeAll(async () => {
  stack = await startStack({ apis: 2 })
  sam = await clientOf('sam')
  const { items } = expectStatus(await sam.get<{ items: { id: string; name: string }[] }>('/v1/identities?limit=100'), 200)
  ids = new Map(items.map(({ name, id }) => [name, id]))
}, 120_000)
afterAll(() => stack?.stop())

const clientOf = async (user: string) => apiClient(stack.urls.api, await accessToken({ home: stack.home, user, acr: 'mfa' }))
const place = (name: string, minutes = 30): Promise<ApiAnswer<Checkout>> =>
  sam.post<Checkout>(`/v1/identities/${ids.get(name)}/checkout`, { reason: 'A test', durationMinutes: minutes })
const checkin = (lease: Lease) => sam.post<{ lease: Lease }>(`/v1/leases/${lease.id}/checkin`, {})
const reveal = async (name: string): Promise<Credential> =>
  expectStatus(await sam.post<Credential & Record<string, unknown>>(`/v1/identities/${ids.get(name)}/reveal`, { reason: 'A test' }), 200)

/** @returns undefined when the target lets the credential in, else its SQLSTATE */
async function refused({ username, value }: Credential): Promise<string | undefined> {
  const { hostname, port } = new URL(stack.urls.target)
  const client = new pg.Client({ host: hostname, port: Number(port), user: username, password: value, database: 'postgres' })
  client.on('error', () => {})
  return client.connect().then(
    () => client.end().then(() => undefined),
    (error: { code?: string }) => error.code ?? 'no answer',
  )
}

async function untilConfirmed(rotationId: string, limitMs = 60_000): Promise<void> {
  const limit = Date.now() + limitMs
  for (;;) {
    const { body, status } = await sam.get<{ state: string; phase: string }>(`/v1/rotations/${rotationId}`)
    if (status === 200 && body.state === 'confirmed') return
    if (Date.now() > limit) throw new Error(`the rotation stays ${body.state} in phase ${body.phase}`)
    await pause(100)
  }
}

async function takeWhenFree(name: string): Promise<Checkout> {
  const limit = Date.now() + 60_000
  for (;;) {
    const answer = await place(name)
    if (answer.status === 201 || Date.now() > limit) return expectStatus(answer, 201)
    await pause(200)
  }
}

describe('the main job', () => {
  test('the tour passes on a used stack', async () => {
    const lines: string[] = []
    await runTour(readHome(stack.home) as Home, (line) => lines.push(line))
    expect(lines).toHaveLength(10)
  }, 90_000)

  test('the API answers over TLS 1.3 too, with a certificate of the authority of this stack', async () => {
    const { fetch: reach } = createTrust(readFileSync(path.join(stack.home, 'tls/ca.pem'), 'utf8'))
    const secure = apiClient(stack.urls.apiTls, await accessToken({ home: stack.home, user: 'sam' }), reach)
    expect((await secure.get<{ user: { sub: string } }>('/v1/me')).status).toBe(200)
    await expect(fetch(`${stack.urls.apiTls}/healthz`)).rejects.toThrow()
  })

  test('200 parallel checkouts of an exclusive identity through 2 replicas: one lease, 199 refusals, and a checkin under that load', async () => {
    const answers = await Promise.all(Array.from({ length: 200 }, () => place('reports-db')))
    const won = answers.filter(({ status }) => status === 201)
    const lost = answers.filter(({ status }) => status === 409)
    expect([won.length, lost.length]).toEqual([1, 199])
    expect(new Set(lost.map(({ body }) => (body as unknown as { title: string }).title))).toEqual(new Set(['Identity is already checked out']))

    const lease = won[0]?.body.lease as Lease
    const load = Array.from({ length: 200 }, () => place('reports-db'))
    const ended = await checkin(lease)
    const later = await Promise.all(load)
    expect(ended.status).toBe(200)
    expect(later.filter(({ status }) => status >= 500)).toEqual([])
    const open = later.filter(({ status }) => status === 201)
    expect(open.length).toBeLessThanOrEqual(1)
    for (const { body } of open) expect((await checkin(body.lease)).status).toBe(200)
  }, 60_000)

  test('three concurrent sessions are three under 100 parallel checkouts, and every slot comes back', async () => {
    for (let round = 0; round < 2; round += 1) {
      const answers = await Promise.all(Array.from({ length: 100 }, () => place('shared-ro')))
      const won = answers.filter(({ status }) => status === 201)
      expect(answers.filter(({ status }) => status >= 500)).toEqual([])
      expect(won).toHaveLength(3)
      for (const { body } of won) expect((await checkin(body.lease)).status).toBe(200)
    }
  }, 60_000)
})

test('the history of the workflow alone tells the story that the tables tell', async () => {
  const { lease } = await takeWhenFree('orders-db')
  expectStatus(await sam.post(`/v1/leases/${lease.id}/extend`, { minutes: 15 }), 200)
  const { rotationId } = expectStatus(await checkin(lease), 200).lease
  await untilConfirmed(rotationId as string)
  const { story, accountId } = await storyFromTables(lease.id)
  const told = () => storyFromHistory(stack, `lease:${accountId}:${lease.id}`).catch((error: Error) => error.message)
  await expect.poll(told, { timeout: 20_000, interval: 500 }).toEqual(story)
  expect(story).toMatchObject({ granted: { minutes: 30 }, ended: { why: 'checked_in' }, rotated: { id: rotationId, state: 'confirmed' } })
  expect(story.extended).toHaveLength(1)
}, 90_000)

describe('a process killed in the middle', () => {
  test('a worker that dies between checkin and rotation: the vaulted password is the one that logs in', async () => {
    const { lease, credential } = await takeWhenFree('orders-db')
    await stack.hold('worker-1', 'SIGKILL')
    const { rotationId } = expectStatus(await checkin(lease), 200).lease
    expect(rotationId).not.toBeNull()
    expect(await refused(credential)).toBeUndefined()
    await stack.restart('worker-1')
    await untilConfirmed(rotationId as string)
    expect(await refused(credential)).toBe('28P01')
    expect(await refused(await reveal('orders-db'))).toBeUndefined()
  }, 120_000)

  test('a connector that dies in the middle of a job: the vaulted password is the one that logs in', async () => {
    const { lease, credential } = await takeWhenFree('orders-db')
    const [admin, watcher] = [new pg.Client(stack.targetSuperuserUrl), new pg.Client(stack.targetSuperuserUrl)]
    for (const client of [admin, watcher]) client.on('error', () => {})
    await Promise.all([admin.connect(), watcher.connect()])
    // The job stands still inside its change: somebody else holds the role's row.
    await admin.query('begin')
    await admin.query(`alter role ${credential.username} connection limit 50`)
    const { rotationId } = expectStatus(await checkin(lease), 200).lease
    await untilApplying(watcher)
    await stack.hold('connector', 'SIGKILL')
    await admin.query('commit')
    await Promise.all([admin.end(), watcher.end()])
    await stack.restart('connector')
    await untilConfirmed(rotationId as string, 100_000)
    expect(await refused(credential)).toBe('28P01')
    expect(await refused(await reveal('orders-db'))).toBeUndefined()
  }, 150_000)
})

/** Waits until a connection stands before a lock: the connector's change. Asked outside a transaction, in which this view stands still. */
async function untilApplying(watcher: pg.Client): Promise<void> {
  const limit = Date.now() + 30_000
  for (;;) {
    const { rows } = await watcher.query<{ waiting: number }>("select count(*)::int as waiting from pg_stat_activity where wait_event_type = 'Lock'")
    if ((rows[0]?.waiting ?? 0) > 0) return
    if (Date.now() > limit) throw new Error('the connector does not change the password')
    await pause(50)
  }
}

async function storyFromTables(leaseId: string): Promise<{ story: LeaseStory; accountId: string }> {
  const client = new pg.Client(stack.superuserUrl.replace(/postgres$/, 'leasehold'))
  await client.connect()
  try {
    const { rows } = await client.query(
      `select l.*, r.state as rotation_state, (select array_agg(t.expires_at order by t.version) from lease_term t where t.lease_id = l.id) as ends
        from lease l left join rotation r on r.id = l.rotation_id where l.id = $1`,
      [leaseId],
    )
    const [row] = rows
    const [until, ...extended] = (row.ends as Date[]).map(Number)
    const granted = { at: Number(row.started_at), minutes: row.requested_minutes, until: until as number }
    const rotated = { id: row.rotation_id, state: row.rotation_state }
    return { story: { granted, extended, ended: { at: Number(row.ended_at), why: row.end_cause }, rotated }, accountId: row.account_id }
  } finally {
    await client.end()
  }
}

import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTrust } from '#server/trust.ts'
import { apiClient, expectStatus } from '#stack/api-client.ts'
import { accessToken } from '#stack/login.ts'
import { startStack, type Stack } from '#stack/test-stack.ts'
import { storyFromHistory, type LeaseStory } from './lease-story.ts'
import { useProduct, type Lease, type Product } from './product.ts'

let stack: Stack
let product: Product

beforeAll(async () => {
  stack = await startStack({ apis: 2 })
  product = await useProduct(stack)
}, 120_000)
afterAll(() => stack?.stop())

describe('the main job', () => {
  test('the tour passes on a used stack, by its command', async () => {
    const command = [path.join(import.meta.dirname, '../../stack/bootstrap.mjs'), 'stack/run-tour.ts']
    const { stdout } = await promisify(execFile)(process.execPath, command, { env: { ...process.env, LEASEHOLD_HOME: stack.home } })
    expect(stdout.trim().split('\n')).toHaveLength(10)
    expect(stdout).toContain('rotation confirmed')
  }, 90_000)

  test('the API answers over TLS 1.3 too, with a certificate of the authority of this stack', async () => {
    const { fetch: reach } = createTrust(readFileSync(path.join(stack.home, 'tls/ca.pem'), 'utf8'))
    const secure = apiClient(stack.urls.apiTls, await accessToken({ home: stack.home, user: 'sam' }), reach)
    expect((await secure.get<{ user: { sub: string } }>('/v1/me')).status).toBe(200)
    await expect(fetch(`${stack.urls.apiTls}/healthz`)).rejects.toThrow()
  })

  test('200 parallel checkouts of an exclusive identity through 2 replicas: one lease, 199 refusals, and a checkin under that load', async () => {
    const answers = await Promise.all(Array.from({ length: 200 }, () => product.place('reports-db')))
    const won = answers.filter(({ status }) => status === 201)
    const lost = answers.filter(({ status }) => status === 409)
    expect([won.length, lost.length]).toEqual([1, 199])
    expect(new Set(lost.map(({ body }) => (body as unknown as { title: string }).title))).toEqual(new Set(['Identity is already checked out']))

    const lease = won[0]?.body.lease as Lease
    const load = Array.from({ length: 200 }, () => product.place('reports-db'))
    const ended = await product.checkin(lease)
    const later = await Promise.all(load)
    expect(ended.status).toBe(200)
    expect(later.filter(({ status }) => status >= 500)).toEqual([])
    const open = later.filter(({ status }) => status === 201)
    expect(open.length).toBeLessThanOrEqual(1)
    for (const { body } of open) expect((await product.checkin(body.lease)).status).toBe(200)
  }, 60_000)

  test('three concurrent sessions are three under 100 parallel checkouts, and every slot comes back', async () => {
    for (let round = 0; round < 2; round += 1) {
      const answers = await Promise.all(Array.from({ length: 100 }, () => product.place('shared-ro')))
      const won = answers.filter(({ status }) => status === 201)
      expect(answers.filter(({ status }) => status >= 500)).toEqual([])
      expect(won).toHaveLength(3)
      for (const { body } of won) expect((await product.checkin(body.lease)).status).toBe(200)
    }
  }, 60_000)
})

test('the history of the workflow alone tells the story that the tables tell', async () => {
  const { lease } = await product.takeWhenFree('orders-db')
  expectStatus(await product.sam.post(`/v1/leases/${lease.id}/extend`, { minutes: 15 }), 200)
  const { rotationId } = expectStatus(await product.checkin(lease), 200).lease
  await product.untilConfirmed(rotationId as string)
  const { story, accountId } = await storyFromTables(lease.id)
  const told = () => storyFromHistory(stack, `lease:${accountId}:${lease.id}`).catch((error: Error) => error.message)
  await expect.poll(told, { timeout: 20_000, interval: 500 }).toEqual(story)
  expect(story).toMatchObject({ granted: { minutes: 30 }, ended: { why: 'checked_in' }, rotated: { id: rotationId, state: 'confirmed' } })
  expect(story.extended).toHaveLength(1)
}, 90_000)

describe('a process killed in the middle', () => {
  test('a worker that dies between checkin and rotation: the vaulted password is the one that logs in', async () => {
    const { lease, credential } = await product.takeWhenFree('orders-db')
    await stack.hold('worker-1', 'SIGKILL')
    const { rotationId } = expectStatus(await product.checkin(lease), 200).lease
    expect(rotationId).not.toBeNull()
    expect(await product.refused(credential)).toBeUndefined()
    await stack.restart('worker-1')
    await product.untilConfirmed(rotationId as string)
    expect(await product.refused(credential)).toBe('28P01')
    expect(await product.refused(await product.reveal('orders-db'))).toBeUndefined()
  }, 120_000)

  test.each(['connector', 'nats'])(
    '%s, which dies in the middle of a job: the vaulted password is the one that logs in',
    async (victim) => {
      const { lease, credential } = await product.takeWhenFree('orders-db')
      const [admin, watcher] = [new pg.Client(stack.targetSuperuserUrl), new pg.Client(stack.targetSuperuserUrl)]
      for (const client of [admin, watcher]) client.on('error', () => {})
      await Promise.all([admin.connect(), watcher.connect()])
      // The job stands still inside its change: somebody else holds the role's row.
      await admin.query('begin')
      await admin.query(`alter role ${credential.username} connection limit 50`)
      const { rotationId } = expectStatus(await product.checkin(lease), 200).lease
      await untilApplying(watcher)
      await stack.hold(victim, 'SIGKILL')
      await admin.query('commit')
      await Promise.all([admin.end(), watcher.end()])
      await stack.restart(victim)
      await product.untilConfirmed(rotationId as string, 100_000)
      expect(await product.refused(credential)).toBe('28P01')
      expect(await product.refused(await product.reveal('orders-db'))).toBeUndefined()
    },
    150_000,
  )
})

/** Waits until a connection stands before a lock: the connector's change. Asked outside a transaction, in which this view stands still. */
async function untilApplying(watcher: pg.Client): Promise<void> {
  const limit = Date.now() + 30_000
  for (;;) {
    const { rows } = await watcher.query<{ waiting: number }>("select count(*)::int as waiting from pg_stat_activity where wait_event_type = 'Lock'")
    if ((rows[0]?.waiting ?? 0) > 0) return
    if (Date.now() > limit) throw new Error('the connector does not change the password')
    await sleep(50)
  }
}

async function storyFromTables(leaseId: string): Promise<{ story: LeaseStory; accountId: string }> {
  const { rows } = await product.sql(
    `select l.*, r.state as rotation_state, (select array_agg(t.expires_at order by t.version) from lease_term t where t.lease_id = l.id) as ends
      from lease l left join rotation r on r.id = l.rotation_id where l.id = $1`,
    [leaseId],
  )
  const [row] = rows
  const [until, ...extended] = (row.ends as Date[]).map(Number)
  const granted = { at: Number(row.started_at), minutes: row.requested_minutes, until: until as number }
  const rotated = { id: row.rotation_id, state: row.rotation_state }
  return { story: { granted, extended, ended: { at: Number(row.ended_at), why: row.end_cause }, rotated }, accountId: row.account_id }
}

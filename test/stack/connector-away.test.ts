import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Client } from '@temporalio/client'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { expectStatus, type ApiAnswer, type ApiClient } from '#stack/api-client.ts'
import { startStack, type Stack } from '#stack/test-stack.ts'
import { skipTime } from '../support/temporal.ts'
import { openTemporal } from './open-temporal.ts'
import { useProduct, type Checkout, type Credential, type Product } from './product.ts'

/** A connector that is away for days, or stands still in the middle of a change and goes on when everybody has moved on. */

interface Rotation {
  readonly id: string
  readonly state: string
  readonly needsAttention: boolean
  readonly hosts: readonly { readonly state: string }[]
}

const main = path.join(import.meta.dirname, '../../connector/main.ts')
const minute = 60_000
const day = 1_440 * minute

let stack: Stack
let product: Product
let temporal: Client
let closeTemporal: () => Promise<void>
let mia: ApiClient
let second: { readonly id: string; readonly home: string; readonly running: ChildProcess }
beforeAll(async () => {
  stack = await startStack({ timeSkipping: true })
  product = await useProduct(stack)
  mia = await product.clientOf('mia')
  const { client, close } = await openTemporal(stack)
  temporal = client
  closeTemporal = close
  second = await startSecondConnector()
}, 150_000)
afterAll(async () => {
  second?.running.kill()
  await closeTemporal?.()
  await stack?.stop()
  if (second !== undefined) rmSync(second.home, { recursive: true })
})

describe('while the connector is away', () => {
  test('a rotation waits for days and holds nothing: checkouts go on with the old version; it is confirmed within 10 s of the return', async () => {
    const old = await product.reveal('reports-db')
    await stack.hold('connector', 'SIGKILL')
    const waiting = await rotate('reports-db')
    for (let days = 1; days <= 3; days += 1) {
      await passTime(waiting, day)
      const { lease, credential } = expectStatus(await product.place('reports-db'), 201)
      expect(credential).toEqual({ username: old.username, value: old.value })
      expect(await product.refused(credential)).toBeUndefined()
      expectStatus(await product.checkin(lease), 200)
      expect((await rotation(waiting)).hosts).toMatchObject([{ state: 'waiting' }])
    }
    expect((await product.sql(`select from job where state = 'claimed'`)).rows).toEqual([])
    await stack.restart('connector')
    await product.untilConfirmed(waiting, 10_000)
    expect(await product.refused(old)).toBe('28P01')
    expect(await product.refused(await product.reveal('reports-db'))).toBeUndefined()
  }, 90_000)

  test('and comes back under an open lease: the password stays until the checkin, and is changed within 10 s of it', async () => {
    await stack.hold('connector', 'SIGKILL')
    const waiting = await rotate('reports-db')
    await moveClock(waiting, 2 * day)
    const { lease, credential } = expectStatus(await product.place('reports-db'), 201)
    await stack.restart('connector')
    await untilPutOff(waiting)
    expect((await rotation(waiting)).hosts).toMatchObject([{ state: 'waiting' }])
    expect(await product.refused(credential)).toBeUndefined()
    expectStatus(await product.checkin(lease), 200)
    await product.untilConfirmed(waiting, 10_000)
    expect(await product.refused(credential)).toBe('28P01')
  }, 90_000)

  test('holders that overlap do not keep a rotation waiting: after a day nobody new gets in, and the last one who leaves lets it through', async () => {
    await stack.hold('connector', 'SIGKILL')
    const waiting = await rotate('shared-ro')
    await moveClock(waiting, 23.5 * 60 * minute)
    const first = expectStatus(await product.place('shared-ro', 60), 201)
    await stack.restart('connector')
    await untilPutOff(waiting)
    const second = expectStatus(await product.place('shared-ro', 60), 201)
    await moveClock(waiting, 45 * minute)
    const drains = `select draining_since is not null as drains from identity where id = $1`
    await expect.poll(async () => (await product.sql(drains, [product.identityId('shared-ro')])).rows[0].drains, { timeout: 20_000 }).toBe(true)
    expect(codeOf(await product.place('shared-ro'))).toBe('identity-draining')
    expectStatus(await product.checkin(first.lease), 200)
    expect(codeOf(await product.place('shared-ro'))).toBe('identity-draining')
    expect(await product.refused(second.credential)).toBeUndefined()
    expectStatus(await product.checkin(second.lease), 200)
    await product.untilConfirmed(waiting, 10_000)
    expect(await product.refused(first.credential)).toBe('28P01')
    expectStatus(await product.place('shared-ro', 60), 201)
  }, 90_000)
})

test.each([
  ['before it looks at the clock for the last time', 'job applying'],
  ['after that, right before it sends the change', 'change due'],
])(
  'a connector that stands still %s, declared lost: when it goes on, the target does not get the value of then',
  async (_when, point) => {
    const identity = product.identityId('reports-db')
    const host = await hostOf(identity)
    const first = host.connectorId
    await stack.restart('connector', point, 'SIGSTOP')
    const lost = await rotate('reports-db')
    await expect.poll(isStopped, { timeout: 20_000 }).toBe(true)
    await expect.poll(async () => (await rotation(lost)).hosts[0]?.state, { timeout: 60_000 }).toBe('doubt')
    await passTime(lost, 11 * minute)
    await expect.poll(async () => (await rotation(lost)).needsAttention, { timeout: 20_000 }).toBe(true)
    const { username, staged } = expectStatus(await mia.post<{ username: string; staged: { value: string } }>(`/v1/rotations/${lost}/credentials`, {}), 200)
    expectStatus(await mia.post(`/v1/rotations/${lost}/resolve`, { outcome: 'not_applied', reason: 'The connector is lost' }), 200)
    expect((await hostOf(identity)).sync).toBe('drifted')

    expectStatus(await mia.patch(`/v1/hosts/${host.id}`, { connectorId: second.id }), 200)
    await product.untilConfirmed(await rotate('reports-db'))
    expect((await hostOf(identity)).sync).toBe('in_sync')
    expect(await product.refused(await product.reveal('reports-db'))).toBeUndefined()

    await stack.kill('connector', 'SIGCONT')
    const late = `select count(*)::int as n from audit_event where action = 'job.reported' and outcome = 'stale-result' and connector_id = $1 and detail->>'jobId' = (select id::text from job where rotation_id = $2)`
    await expect.poll(async () => (await product.sql(late, [first, lost])).rows[0].n, { timeout: 30_000 }).toBe(1)
    const old: Credential = { username, value: staged.value }
    expect(await product.refused(old)).toBe('28P01')
    expect(await product.refused(await product.reveal('reports-db'))).toBeUndefined()
    expectStatus(await mia.patch(`/v1/hosts/${host.id}`, { connectorId: first }), 200)
  },
  120_000,
)

/** Starts a rotation of an identity that none is at. @returns its id, once its workflow runs and has made its job */
async function rotate(name: string): Promise<string> {
  await product.untilFree(name)
  const { rotation: begun } = expectStatus(await mia.post<{ rotation: Rotation }>(`/v1/identities/${product.identityId(name)}/rotate`, {}), 202)
  const jobs = async () => (await product.sql(`select count(*)::int as jobs from job where rotation_id = $1`, [begun.id])).rows[0].jobs
  await expect.poll(jobs, { timeout: 20_000 }).toBe(1)
  return begun.id
}

const codeOf = ({ body }: ApiAnswer<Checkout>): string | undefined => (body as { code?: string }).code

/** The connector has asked for the job since it is back, and was put off. */
async function untilPutOff(rotationId: string): Promise<void> {
  const figures = `select offered_at > clock_timestamp() - interval '5 seconds' + (select shift from clock_shift c where c.account_id = j.account_id) as offered from job j where rotation_id = $1`
  await expect.poll(async () => (await product.sql(figures, [rotationId])).rows[0].offered, { timeout: 20_000 }).toBe(true)
}

const rotation = async (id: string): Promise<Rotation> => expectStatus(await mia.get<Rotation>(`/v1/rotations/${id}`), 200)

async function hostOf(identity: string): Promise<{ readonly id: string; readonly connectorId: string; readonly sync: string }> {
  const { hosts } = expectStatus(await mia.get<{ hosts: { hostId: string; sync: string }[] }>(`/v1/identities/${identity}`), 200)
  const [{ hostId, sync }] = hosts as [{ hostId: string; sync: string }]
  const { connectorId } = expectStatus(await mia.get<{ connectorId: string }>(`/v1/hosts/${hostId}`), 200)
  return { id: hostId, connectorId, sync }
}

/** Time passes for PostgreSQL. @returns id of the account */
async function moveClock(rotationId: string, ms: number): Promise<string> {
  const { rows } = await product.sql(
    `insert into clock_shift select account_id, make_interval(secs => $2::float8) from rotation where id = $1
      on conflict (account_id) do update set shift = clock_shift.shift + excluded.shift returning account_id`,
    [rotationId, ms / 1_000],
  )
  // Offers that were put off come by the real clock.
  const offers = `update obligation set next_at = next_at - make_interval(secs => $2::float8) where kind = 'offer' and subject_id in (select id from job where rotation_id = $1)`
  await product.sql(offers, [rotationId, ms / 1_000])
  return rows[0].account_id
}

/** Time passes for PostgreSQL and for the workflow of the rotation. */
async function passTime(rotationId: string, ms: number): Promise<void> {
  await skipTime(temporal, `rotation:${await moveClock(rotationId, ms)}:${rotationId}`, ms)
}

async function isStopped(): Promise<boolean> {
  const { pid } = (await stack.processes()).find(({ name }) => name === 'connector') as { pid: number }
  return / T /.test(readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\)/, ' '))
}

/** Another connector of the same organization, a process of its own, that may dial the same target. */
async function startSecondConnector(): Promise<typeof second> {
  const home = mkdtempSync(path.join(tmpdir(), 'leasehold-connector-'))
  const { items } = expectStatus(await mia.get<{ items: { organizationId: string }[] }>('/v1/connectors?limit=1'), 200)
  const { id, joinToken } = expectStatus(
    await mia.post<{ id: string; joinToken: string }>('/v1/connectors', { organizationId: items[0]?.organizationId, name: 'second' }),
    201,
  )
  const tokenFile = path.join(home, 'token')
  writeFileSync(tokenFile, joinToken, { mode: 0o600 })
  const { hostname, port } = new URL(stack.urls.target)
  const start = (args: readonly string[]) => spawn(process.execPath, [main, '--home', home, ...args], { stdio: 'ignore' })
  const joining = start(['join', '--url', stack.urls.api, '--token-file', tokenFile, '--allow', `${hostname}:${port}`])
  const code = await new Promise((resolve, reject) => joining.once('exit', resolve).once('error', reject))
  if (code !== 0) throw new Error('the second connector could not join')
  const running = start(['run'])
  await vi.waitUntil(() => existsSync(path.join(home, 'ready')), { timeout: 30_000 })
  return { id, home, running }
}

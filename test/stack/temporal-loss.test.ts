import { rmSync } from 'node:fs'
import path from 'node:path'
import { Client, Connection } from '@temporalio/client'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { apiClient, expectStatus, type ApiClient } from '#stack/api-client.ts'
import { accessToken } from '#stack/login.ts'
import { readHome, type Home } from '#stack/home.ts'
import { addUser } from '#stack/oidc-users.ts'
import { acme } from '#stack/people.ts'
import { startStack, type Stack } from '#stack/test-stack.ts'
import { searchAttributes, workflowIdOf, type Sweep } from '#workflows/messages.ts'

interface Lease {
  readonly id: string
  readonly state: string
  readonly endCause: string | null
  readonly rotationId: string | null
}

let stack: Stack
let sam: ApiClient
let mia: ApiClient
let ids: Map<string, string>
let superuser: pg.Client
beforeAll(async () => {
  stack = await startStack()
  const as = async (user: string) => apiClient(stack.urls.api, await accessToken({ home: stack.home, user, acr: 'mfa' }))
  ;[sam, mia] = [await as('sam'), await as('mia')]
  const { items } = expectStatus(await sam.get<{ items: { id: string; name: string }[] }>('/v1/identities?limit=100'), 200)
  ids = new Map(items.map(({ name, id }) => [name, id]))
  superuser = new pg.Client(stack.superuserUrl.replace(/postgres$/, 'leasehold'))
  await superuser.connect()
}, 120_000)
afterAll(async () => {
  await superuser?.end()
  await stack?.stop()
})

const look = { timeout: 60_000, interval: 200 }
const checkout = (who: ApiClient, name: string) =>
  who.post<{ lease: Lease; code?: string }>(`/v1/identities/${ids.get(name)}/checkout`, { reason: 'Temporal is away', durationMinutes: 30 })
const take = async (name: string) => expectStatus(await checkout(sam, name), 201).lease
const read = async ({ id }: Lease) => expectStatus(await sam.get<Lease>(`/v1/leases/${id}`), 200)
/** Half an hour passes for these leases. */
const letPass = (...leases: Lease[]) =>
  superuser.query(`update lease set started_at = started_at - interval '30 minutes', expires_at = clock_timestamp() where id = any($1)`, [
    leases.map((lease) => lease.id),
  ])
const ends = async ({ id }: Lease) =>
  expectStatus(await mia.get<{ items: { outcome: string }[] }>(`/v1/audit/events?leaseId=${id}&action=lease.ended`), 200).items.map((event) => event.outcome)
const untilConfirmed = async (lease: Lease) => {
  const { rotationId } = await read(lease)
  expect(rotationId).not.toBeNull()
  await expect.poll(async () => (await sam.get<{ state: string }>(`/v1/rotations/${rotationId}`)).body.state, look).toBe('confirmed')
}

/** Somebody of the vendor, named by the account and granted its vault. */
async function letSupportIn(sub: string, vaultId: string): Promise<ApiClient> {
  const email = `${sub}@vendor.example`
  addUser(readHome(stack.home) as Home, { sub, email, email_verified: true, name: `${sub} of the vendor` })
  const { idpUserId } = expectStatus(await mia.post<{ idpUserId: string }>('/v1/support-access/users', { sub, email, name: `${sub} of the vendor` }), 201)
  expectStatus(await mia.post(`/v1/identity-groups/${vaultId}/grants`, { principal: { type: 'user', id: idpUserId }, level: 'checkout' }), 201)
  return apiClient(stack.urls.api, await accessToken({ home: stack.home, user: sub, acr: 'mfa' }))
}

test('with Temporal stopped a checkout still answers, and expiry still ends it, once', async () => {
  await stack.hold('temporal', 'SIGKILL')
  const lease = await take('reports-db')
  await letPass(lease)
  await expect.poll(async () => (await read(lease)).endCause, { timeout: 5_000, interval: 50 }).toBe('expired')
  expect(await ends(lease)).toEqual(['expired'])
  await stack.restart('temporal')
}, 90_000)

test('with workers and Temporal stopped, whoever comes after the end of a lease gets the slot, or is told that the rotation is owed', async () => {
  const [plain, rotating] = [await take('reports-db'), await take('orders-db')]
  await Promise.all([stack.hold('temporal', 'SIGKILL'), stack.hold('worker-1', 'SIGKILL')])
  await letPass(plain, rotating)
  const next = await checkout(mia, 'reports-db')
  expect(next.status).toBe(201)
  const [refused, again] = [await checkout(mia, 'orders-db'), await checkout(mia, 'orders-db')]
  expect([refused.status, again.status, again.body.code]).toEqual([409, 409, 'identity-awaiting-rotation'])
  expect([await ends(plain), await ends(rotating)]).toEqual([['expired'], ['expired']])
  expectStatus(await mia.post(`/v1/leases/${next.body.lease.id}/checkin`, {}), 200)
  await stack.restart('temporal')
  await stack.restart('worker-1')
  await untilConfirmed(rotating)
  expect([await ends(plain), await ends(rotating)]).toEqual([['expired'], ['expired']])
}, 150_000)

test('Temporal dies during 100 checkouts of support staff: Emergency Disable ends them all within 5 s, and none begins afterwards', async () => {
  const { identityGroupId } = expectStatus(await mia.get<{ identityGroupId: string }>(`/v1/identities/${ids.get('reports-db')}`), 200)
  const sue = await letSupportIn('sue', identityGroupId)
  const { id } = expectStatus(await mia.put<{ id: string }>('/v1/support-access', { enabled: true, reason: 'Ticket 4711' }), 200)
  const body = { identityGroupId, name: 'for support', username: 'support', credentialType: 'password', credential: 'of no host' }
  const { id: identityId } = expectStatus(
    await mia.post<{ id: string }>('/v1/identities', { ...body, allowConcurrentCheckout: true, maxConcurrentSessions: 50 }),
    201,
  )
  const checkoutAs = async () => (await sue.post(`/v1/identities/${identityId}/checkout`, { reason: 'Support', durationMinutes: 30 })).status
  const statuses: number[] = []
  const crowd = Array.from({ length: 20 }, async () => {
    for (let turn = 0; turn < 5; turn += 1) statuses.push(await checkoutAs())
  })
  await expect.poll(() => statuses.length, { timeout: 30_000, interval: 10 }).toBeGreaterThan(15)
  await Promise.all([stack.hold('temporal', 'SIGKILL'), stack.hold('worker-1', 'SIGKILL')])
  expect(expectStatus(await mia.post<{ enabled: boolean }>('/v1/support-access/emergency-disable', {}), 200).enabled).toBe(false)
  await Promise.all(crowd)
  expect(await checkoutAs()).toBe(403)
  const { rows } = await superuser.query(
    `select count(*) filter (where l.state = 'active')::int as active, count(*) filter (where l.started_at > w.ended_at)::int as late,
      array_agg(distinct l.end_cause) as causes, count(*)::int as leases, extract(epoch from max(l.ended_at) - max(w.ended_at))::float8 as seconds
    from support_access w join lease l on l.mode = 'support' and l.started_at >= w.enabled_at where w.id = $1`,
    [id],
  )
  expect(rows[0]).toMatchObject({ active: 0, late: 0, causes: ['emergency'], leases: statuses.filter((status) => status === 201).length })
  expect(rows[0].seconds).toBeLessThan(5)
  await stack.restart('temporal')
  await stack.restart('worker-1')
}, 150_000)

test('after a loss of its database Temporal is made whole: every open lease is watched again, expires and rotates', async () => {
  const [plain, rotating] = [await take('reports-db'), await take('orders-db')]
  await expect.poll(() => statusOf(plain, rotating), look).toEqual(['RUNNING', 'RUNNING'])
  const before = await namespaceId()
  await stack.hold('temporal', 'SIGKILL')
  for (const suffix of ['', '-wal', '-shm']) rmSync(path.join(stack.home, 'temporal', `temporal.db${suffix}`), { force: true })
  await stack.restart('temporal')
  expect(await namespaceId()).not.toBe(before)

  await expect.poll(() => statusOf(plain, rotating), look).toEqual(['RUNNING', 'RUNNING'])
  await withTemporal(async ({ schedule, connection }) => {
    expect((await schedule.getHandle('rotation-sweep' satisfies Sweep).describe()).action.workflowType).toBe('rotationSweep')
    const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace: 'leasehold' })
    expect(Object.keys(customAttributes)).toEqual(expect.arrayContaining(Object.keys(searchAttributes)))
  })
  expect(await workerFigure('leasehold_reconcile_reopened_total')).toBeGreaterThanOrEqual(2)
  await letPass(plain, rotating)
  await expect
    .poll(async () => [(await read(plain)).endCause, (await read(rotating)).endCause], { timeout: 5_000, interval: 50 })
    .toEqual(['expired', 'expired'])
  await untilConfirmed(rotating)
  await expect.poll(() => statusOf(rotating), look).toEqual(['COMPLETED'])
  expect([await ends(plain), await ends(rotating)]).toEqual([['expired'], ['expired']])
}, 180_000)

async function withTemporal<T>(ask: (client: Client) => Promise<T>): Promise<T> {
  const connection = await Connection.connect({ address: stack.urls.temporal })
  return ask(new Client({ connection, namespace: 'leasehold' })).finally(() => connection.close())
}

const statusOf = (...leases: Lease[]) =>
  withTemporal((client) =>
    Promise.all(
      leases.map(({ id }) =>
        client.workflow
          .getHandle(workflowIdOf('lease', { accountId: acme.id, subjectId: id }))
          .describe()
          .then(({ status }) => status.name)
          .catch((error: Error) => error.name),
      ),
    ),
  )

const namespaceId = () =>
  withTemporal(async ({ connection }) => (await connection.workflowService.describeNamespace({ namespace: 'leasehold' })).namespaceInfo?.id)

async function workerFigure(name: string): Promise<number> {
  const port = (await stack.processes()).find((process) => process.name === 'worker-1')?.port
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1])
}

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { createServer, type AddressInfo } from 'node:net'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startApiRole } from '#server/api-role.ts'
import type { Config } from '#server/config.ts'
import { createMetrics } from '#server/metrics/metrics.ts'
import type { RoleContext, RunningRole } from '#server/role.ts'
import { seedPeople } from '#stack/seed-people.ts'
import { audience, startIssuer, type TestIssuer } from '../api/issuer.ts'
import { startCutProxy, type CutProxy } from '../support/cut-proxy.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startOpenBao, type TestOpenBao } from '../support/openbao.ts'

let database: TestDatabase
let bao: TestOpenBao
let baoLink: CutProxy
let issuer: TestIssuer
let apiPort: number
const replicas: { readonly role: RunningRole; readonly port: number }[] = []

beforeAll(async () => {
  ;[database, bao, issuer] = await Promise.all([createTestDatabase(), startOpenBao(), startIssuer()])
  baoLink = await startCutProxy({ host: '127.0.0.1', port: Number(new URL(bao.url).port) })
  await seedPeople(database.ownerUrl, issuer.url)
  apiPort = await freePort()
  for (let index = 0; index < 2; index += 1) {
    const port = await freePort()
    replicas.push({ role: await startApiRole(contextOf(port)), port })
  }
}, 40_000)
afterAll(async () => {
  await Promise.all(replicas.map(({ role }) => role.drain().catch(() => {})))
  await issuer?.stop()
  await baoLink?.end()
  await bao?.stop()
  await database?.end()
})

function contextOf(apiReplicaPort: number): RoleContext {
  const config: Config = {
    mode: 'dev',
    postgresUrl: database.url,
    credentialsFile: '',
    temporalAddress: '127.0.0.1:1',
    temporalNamespace: 'leasehold',
    taskQueueSuffix: '',
    natsUrl: 'nats://127.0.0.1:1',
    openbaoUrl: `http://127.0.0.1:${baoLink.port}`,
    oidcIssuer: issuer.url,
    oidcUrl: issuer.url,
    apiAudience: audience,
    apiUrl: `http://127.0.0.1:${apiPort}`,
    apiPort,
    apiReplicaPort,
    healthPort: undefined,
    temporalSilenceMinutes: 15,
    cacheDirectory: undefined,
    logLevel: 'error',
  }
  const openbao = bao.login('leasehold-api')
  return {
    config,
    credentials: { postgres: { leasehold_api: database.password }, openbao, tenantSalt: randomBytes(32).toString('base64url') },
    log: pino({ level: 'silent' }),
    metrics: createMetrics(),
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

const get = async (port: number, path: string, token?: string) =>
  fetch(`http://127.0.0.1:${port}${path}`, { headers: token === undefined ? {} : { authorization: `Bearer ${token}` } })

test('two replicas answer on one port and each on its own', async () => {
  const token = await issuer.token('mia')
  for (const port of [apiPort, ...replicas.map((replica) => replica.port)]) {
    expect((await get(port, '/healthz')).status).toBe(200)
    expect((await get(port, '/v1/me', token)).status).toBe(200)
  }
})

test('figures are given on the port of a replica and not on the one that callers share', async () => {
  const [replica] = replicas
  const answer = await get(replica?.port ?? 0, '/metrics')
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8'])
  const text = await answer.text()
  expect(text).toMatch(/^leasehold_database_up{role="leasehold_api"} 1$/m)
  expect(text).toMatch(/^leasehold_http_request_duration_seconds_count{method="GET",route="\/healthz",status="200"} \d+$/m)
  for (let index = 0; index < 8; index += 1) expect((await get(apiPort, '/metrics')).status).toBe(404)
})

test('an organization secret is kept in OpenBao, once', async () => {
  const headers = { authorization: `Bearer ${await issuer.token('mia')}`, 'content-type': 'application/json', 'idempotency-key': 'one' }
  const created = await fetch(`http://127.0.0.1:${apiPort}/v1/organizations`, { method: 'POST', headers, body: JSON.stringify({ name: 'kept' }) })
  const { id } = (await created.json()) as { id: string }
  const put = () => fetch(`http://127.0.0.1:${apiPort}/v1/organizations/${id}/secret`, { method: 'PUT', headers, body: '{}' })
  expect((await put()).status).toBe(204)
  expect((await put()).status).toBe(409)
})

test('readiness follows the servers that the API needs', async () => {
  const states = async () => {
    const answer = await get(apiPort, '/readyz')
    return [answer.status, ((await answer.json()) as { dependencies: unknown }).dependencies]
  }
  expect(await states()).toEqual([200, { postgres: 'ok', openbao: 'ok' }])
  await baoLink.set('freeze')
  const started = performance.now()
  expect(await states()).toEqual([503, { postgres: 'ok', openbao: 'down' }])
  expect(performance.now() - started).toBeLessThan(2_000)
  expect(await replicas[0]?.role.ready()).toEqual({ postgres: 'ok', openbao: 'down' })
  await baoLink.set('closed')
  await baoLink.set('pass')
  expect(await states()).toEqual([200, { postgres: 'ok', openbao: 'ok' }])
})

test('a replica that drains lets running requests end and leaves the port to the other', async () => {
  const [first, second] = replicas
  const token = await issuer.token('mia')
  const slow = request({
    port: first?.port,
    host: '127.0.0.1',
    method: 'POST',
    path: '/v1/organizations',
    agent: false,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'idempotency-key': 'slow' },
  })
  const answered = once(slow, 'response') as Promise<[IncomingMessage]>
  slow.write('{"name":')
  await get(first?.port ?? 0, '/healthz')
  const started = performance.now()
  const drained = first?.role.drain()
  await expect
    .poll(() =>
      get(first?.port ?? 0, '/healthz').then(
        () => 'open',
        () => 'closed',
      ),
    )
    .toBe('closed')
  slow.end('"slow"}')
  const [answer] = await answered
  expect(answer.statusCode).toBe(201)
  answer.resume()
  await drained
  expect(performance.now() - started).toBeLessThan(5_000)
  for (let index = 0; index < 10; index += 1) expect((await get(apiPort, '/v1/me', token)).status).toBe(200)
  expect((await get(second?.port ?? 0, '/healthz')).status).toBe(200)
})

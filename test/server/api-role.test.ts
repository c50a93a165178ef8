import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { createServer, type AddressInfo } from 'node:net'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startApiRole } from '#server/api-role.ts'
import { readConfig } from '#server/config.ts'
import { createMetrics } from '#server/metrics/metrics.ts'
import type { RoleContext, RunningRole } from '#server/role.ts'
import { createTrust } from '#server/trust.ts'
import { createAuthority, issue, type Authority, type Issued } from '#stack/certificates.ts'
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
let apiTlsPort: number
let authority: Authority
let certificate: Issued
const replicas: { readonly role: RunningRole; readonly port: number }[] = []

beforeAll(async () => {
  ;[database, bao, issuer] = await Promise.all([createTestDatabase(), startOpenBao(), startIssuer()])
  baoLink = await startCutProxy({ host: '127.0.0.1', port: Number(new URL(bao.url).port) })
  await seedPeople(database.ownerUrl, issuer.url)
  ;[apiPort, apiTlsPort] = [await freePort(), await freePort()]
  authority = await createAuthority('test')
  certificate = await issue(authority, ['localhost', '127.0.0.1'])
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
  const config = readConfig({
    LEASEHOLD_MODE: 'dev',
    LEASEHOLD_POSTGRES_URL: database.url,
    LEASEHOLD_CREDENTIALS_FILE: '/nowhere',
    LEASEHOLD_TEMPORAL_ADDRESS: '127.0.0.1:1',
    LEASEHOLD_NATS_URL: 'nats://127.0.0.1:1',
    LEASEHOLD_OPENBAO_URL: `http://127.0.0.1:${baoLink.port}`,
    LEASEHOLD_OIDC_ISSUER: issuer.url,
    LEASEHOLD_API_AUDIENCE: audience,
    LEASEHOLD_API_URL: `http://127.0.0.1:${apiPort}`,
    LEASEHOLD_API_PORT: String(apiPort),
    LEASEHOLD_API_REPLICA_PORT: String(apiReplicaPort),
    LEASEHOLD_API_TLS_PORT: String(apiTlsPort),
    LEASEHOLD_TLS_CERT_FILE: '/nowhere',
    LEASEHOLD_TLS_KEY_FILE: '/nowhere',
  })
  const openbao = bao.login('leasehold-api')
  return {
    config,
    credentials: { postgres: { leasehold_api: database.password }, openbao, tenantSalt: randomBytes(32).toString('base64url') },
    trust: createTrust(),
    certificate,
    temporalTls: undefined,
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

test('the same API answers over TLS 1.3 and over nothing less, to callers with a certificate and without', async () => {
  const handshake = async (options: ConnectionOptions): Promise<TLSSocket> => {
    const socket = connect({ host: '127.0.0.1', port: apiTlsPort, ca: authority.cert, ...options })
    await once(socket, 'secureConnect')
    return socket
  }
  const own = await issue(await createAuthority('somebody'), ['caller'])
  for (const options of [{}, own]) {
    const socket = await handshake(options)
    expect(socket.getProtocol()).toBe('TLSv1.3')
    socket.write('GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n')
    const [answer] = (await once(socket, 'data')) as [Buffer]
    expect(answer.toString()).toMatch(/^HTTP\/1.1 200/)
    socket.destroy()
  }
  await expect(handshake({ maxVersion: 'TLSv1.2' })).rejects.toThrow(/protocol version/)
  await expect(createTrust(authority.cert).fetch(`https://127.0.0.1:${apiTlsPort}/healthz`)).resolves.toMatchObject({ status: 200 })
  await expect(createTrust().fetch(`https://127.0.0.1:${apiTlsPort}/healthz`)).rejects.toThrow()
})

test('browsers are told to come over TLS only by an answer that came over TLS (RFC 6797)', async () => {
  const secure = await createTrust(authority.cert).fetch(`https://127.0.0.1:${apiTlsPort}/healthz`)
  expect(secure.headers.get('strict-transport-security')).toBe('max-age=31536000')
  const ports = [apiPort, ...replicas.map(({ port }) => port)]
  for (const port of ports) for (const path of ['/healthz', '/metrics']) expect((await get(port, path)).headers.get('strict-transport-security')).toBeNull()
})

test('figures for operators come with the headers of every answer', async () => {
  const { headers, status } = await get(replicas[0]?.port ?? 0, '/metrics')
  expect([status, headers.get('x-content-type-options'), headers.get('cache-control')]).toEqual([200, 'nosniff', 'no-store'])
})

test('methods that only some clients can send are refused like others', async () => {
  for (const method of ['TRACE', 'PROPFIND', 'QUERY', 'PURGE', 'SEARCH']) {
    const asked = request({ port: apiPort, host: '127.0.0.1', method, path: '/v1/me', agent: false }).end()
    const [answer] = (await once(asked, 'response')) as [IncomingMessage]
    answer.resume()
    expect([method, answer.statusCode, answer.headers.allow]).toEqual([method, 405, 'GET, HEAD'])
  }
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

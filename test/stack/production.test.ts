import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { apiClient, expectStatus, type ApiClient } from '#stack/api-client.ts'
import { issue } from '#stack/certificates.ts'
import { stackCredentials, targetAdmin } from '#stack/credentials.ts'
import { seedPeople } from '#stack/seed-people.ts'
import { freePort } from '../support/free-port.ts'
import { startTlsProxy } from '../support/tls-proxy.ts'
import { startProduction, type ProductionWorld } from './production-world.ts'

let world: ProductionWorld
let mia: ApiClient
let identityId: string

beforeAll(async () => {
  world = await startProduction()
  mia = apiClient(world.apiUrl, world.ownerToken, world.asOwner)
}, 150_000)
afterAll(() => world?.end(), 60_000)

interface Checkout {
  readonly lease: { readonly id: string; readonly rotationId: string | null }
  readonly credential: { readonly username: string; readonly value: string }
}

const make = async (path: string, body: object): Promise<string> => expectStatus(await mia.post<{ id: string }>(path, body), 201).id

/** @returns undefined when the target lets the credential in, else its SQLSTATE */
async function refused({ username, value }: Checkout['credential']): Promise<string | undefined> {
  const { hostname, port } = new URL(world.stack.urls.target)
  const client = new pg.Client({ host: hostname, port: Number(port), user: username, password: value, database: 'postgres' })
  client.on('error', () => {})
  return client.connect().then(
    () => client.end().then(() => undefined),
    (error: { code?: string }) => error.code ?? 'no answer',
  )
}

test('in production mode a credential is checked out, checked in and rotated, over TLS 1.3 on every link', async () => {
  const { target } = stackCredentials(world.home)
  const { hostname: address, port } = new URL(world.stack.urls.target)
  const organizationId = await make('/v1/organizations', { name: 'main' })
  expectStatus(await mia.put(`/v1/organizations/${organizationId}/secret`, {}), 204)
  const identityGroupId = await make('/v1/identity-groups', { organizationId, name: 'databases' })
  const value = { identityGroupId, credentialType: 'password' }
  const adminIdentityId = await make('/v1/identities', { ...value, name: 'admin', username: targetAdmin, credential: target.admin, exposure: 'inject_only' })
  const { id: connectorId, joinToken } = expectStatus(
    await mia.post<{ id: string; joinToken: string }>('/v1/connectors', { organizationId, name: 'edge' }),
    201,
  )
  const host = { organizationId, name: 'target', address, port: Number(port), adapter: 'postgres', connectorId, adminIdentityId }
  const hostIds = [await make('/v1/hosts', host)]
  identityId = await make('/v1/identities', { ...value, name: 'orders', username: 'orders_app', credential: target.orders_app, hostIds, rotateAfterUse: true })
  await world.startConnector(joinToken, `${address}:${port}`)

  const { lease, credential } = expectStatus(await mia.post<Checkout>(`/v1/identities/${identityId}/checkout`, { reason: 'A look', durationMinutes: 30 }), 201)
  expect(await refused(credential)).toBeUndefined()
  const ended = expectStatus(await mia.post<Checkout>(`/v1/leases/${lease.id}/checkin`, {}), 200).lease
  const state = async () => (await mia.get<{ state: string }>(`/v1/rotations/${ended.rotationId}`)).body.state
  await expect.poll(state, { timeout: 30_000, interval: 100 }).toBe('confirmed')
  expect(await refused(credential)).toBe('28P01')
  const shown = expectStatus(await mia.post<Checkout['credential']>(`/v1/identities/${identityId}/reveal`, { reason: 'Proof' }), 200)
  expect(await refused(shown)).toBeUndefined()
  const { items } = expectStatus(await mia.get<{ items: { action: string }[] }>('/v1/audit/events?limit=100'), 200)
  // The log begins with the installation.
  expect(items.map(({ action }) => action)).toEqual(expect.arrayContaining(['account.created', 'lease.granted', 'rotation.confirmed']))
  expect(await databaseLinks()).toEqual({
    leasehold_api: 'TLSv1.3',
    leasehold_bridge: 'TLSv1.3',
    leasehold_expirer: 'TLSv1.3',
    leasehold_relay: 'TLSv1.3',
    leasehold_worker: 'TLSv1.3',
  })
}, 60_000)

/** What PostgreSQL itself says about the connections of our roles. */
async function databaseLinks(): Promise<Record<string, string>> {
  const client = new pg.Client(world.stack.superuserUrl)
  await client.connect()
  const { rows } = await client.query<{ usename: string; version: string | null }>(
    `select distinct usename, coalesce(version, 'plain') as version from pg_stat_activity join pg_stat_ssl using (pid) where usename like 'leasehold%' order by 1`,
  )
  await client.end()
  return Object.fromEntries(rows.map(({ usename, version }) => [usename, version ?? 'plain']))
}

test('a token without the key that it is bound to opens nothing', async () => {
  const thief = apiClient(world.apiUrl, world.ownerToken, world.reach)
  expect((await mia.get('/v1/me')).status).toBe(200)
  expect((await thief.get('/v1/me')).status).toBe(401)
})

test('a sealed OpenBao is named by readiness, and works again after it is unsealed, without a restart', async () => {
  const dependencies = async (role: 'api' | 'bridge' | 'worker') => {
    const response = await fetch(`http://127.0.0.1:${world.roles[role].healthPort}/readyz`)
    return [response.status, ((await response.json()) as { dependencies: unknown }).dependencies]
  }
  await world.bao.seal()
  await expect.poll(() => dependencies('api'), { timeout: 10_000 }).toEqual([503, { postgres: 'ok', openbao: 'down' }])
  await expect.poll(() => dependencies('bridge'), { timeout: 10_000 }).toEqual([503, { postgres: 'ok', nats: 'ok', openbao: 'down' }])
  const organization = { name: 'while sealed' }
  const id = await make('/v1/organizations', organization)
  const answer = await mia.put<{ code: string; role: string }>(`/v1/organizations/${id}/secret`, {})
  expect([answer.status, answer.body.code, answer.body.role]).toEqual([503, 'dependency-unavailable', 'openbao'])
  await world.bao.unseal()
  for (const role of ['api', 'bridge', 'worker'] as const) await expect.poll(async () => (await dependencies(role))[0], { timeout: 20_000 }).toBe(200)
  expectStatus(await mia.put(`/v1/organizations/${id}/secret`, {}), 204)
  expect(await Promise.all(Object.values(world.roles).map(({ ended }) => Promise.race([ended, 'running'])))).toEqual(['running', 'running', 'running'])
}, 60_000)

test('production refuses to start on the servers of a development stack, each named, whatever stands in front of them', async () => {
  const { stack, authority, home } = world
  await seedPeople(stack.superuserUrl.replace(/postgres$/, 'installed'), 'https://issuer.example')
  const server = await issue(authority, ['127.0.0.1'])
  const [bao, oidc] = await Promise.all([stack.urls.openbao, stack.urls.issuer].map((url) => startTlsProxy({ port: Number(new URL(url).port), ...server })))
  const program = world.startRole('api', {
    ...world.environment('api', await freePort()),
    LEASEHOLD_OPENBAO_URL: `https://127.0.0.1:${bao?.port}`,
    LEASEHOLD_OIDC_ISSUER: `https://127.0.0.1:${oidc?.port}`,
  })
  expect(await program.ended).toBe(1)
  await Promise.all([bao?.end(), oidc?.end()])
  const faults = program
    .output()
    .split('\n')
    .filter((line) => line.startsWith('  '))
    .map((line) => line.trim().split(':')[0])
  expect(faults.sort()).toEqual(['LEASEHOLD_OIDC_ISSUER', 'LEASEHOLD_OPENBAO_URL', 'LEASEHOLD_POSTGRES_URL'])
  expect(program.output()).not.toContain(home.path)
}, 30_000)

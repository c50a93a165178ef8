import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Adapter } from '#connector/adapters/adapter.ts'
import { postgresAdapter } from '#connector/adapters/postgres.ts'
import type { RunningConnector } from '#connector/connector.ts'
import type { ConnectorId, IdentityId, RotationId } from '#schemas/ids.ts'
import { beginDueCheck } from '#store/check-sweep.ts'
import { startCutProxy, type CutProxy } from '../support/cut-proxy.ts'
import type { TargetRole } from '../support/target.ts'
import { runConnector } from './support.ts'
import { createBridgeWorld, type BridgeWorld } from './world.ts'

/** Checks of stored credentials on a real PostgreSQL, whose connections are counted on the way. */

let world: BridgeWorld
let proxy: CutProxy
let connector: { readonly id: ConnectorId; readonly home: string }
let running: RunningConnector
let hostId: string
let adminHostId: string
let role: TargetRole
let identityId: IdentityId
beforeAll(async () => {
  world = await createBridgeWorld()
  proxy = await startCutProxy({ host: world.target.address, port: world.target.port })
  connector = await world.joinConnector([`127.0.0.1:${proxy.port}`])
  running = runConnector(connector.home)
  const { adminIdentityId } = (await world.call('GET', `/v1/hosts/${await hostOf((await world.addAccount(connector.id)).identityId)}`)).body
  const host = { organizationId: world.organizationId, address: '127.0.0.1', port: proxy.port, adapter: 'postgres', connectorId: connector.id }
  hostId = (await world.call('POST', '/v1/hosts', { ...host, name: 'counted' })).body.id
  adminHostId = (await world.call('POST', '/v1/hosts', { ...host, name: 'healed', adminIdentityId })).body.id
}, 30_000)
afterAll(async () => {
  await running?.stop()
  await proxy?.end()
  await world?.end()
})
beforeEach(async () => {
  role = await world.target.createRole()
  identityId = await add({ hostIds: [hostId], checkIntervalHours: 24 })
})
afterEach(() => proxy.set('pass'))

const hostOf = async (id: string): Promise<string> => (await world.call('GET', `/v1/identities/${id}`)).body.hostIds[0]

async function add(settings: object): Promise<IdentityId> {
  const body = {
    identityGroupId: world.vaultId,
    name: randomUUID(),
    username: role.username,
    credentialType: 'password',
    credential: role.password,
    ...settings,
  }
  const { status, body: made } = await world.call('POST', '/v1/identities', body)
  expect(status).toBe(201)
  return made.id
}

const identity = async () => (await world.call('GET', `/v1/identities/${identityId}`)).body
const health = async () => (await identity()).hosts[0]
const lastCheck = async () => (await world.call('GET', `/v1/identities/${identityId}/check`)).body.check

/** Asks, and waits for what comes out. @returns the check, and how many connections the target had by it */
async function check() {
  const before = proxy.connections()
  expect((await world.call('POST', `/v1/identities/${identityId}/check`, {})).status).toBe(202)
  await expect.poll(async () => (await lastCheck()).state, { timeout: 15_000 }).toBe('done')
  return { ...(await lastCheck()).hosts[0], logins: proxy.connections() - before }
}

/** What the schedule does with an identity that is due now. */
async function checkDue(): Promise<boolean> {
  await world.database.superuser('update identity set next_check_at = now() where id = $1 and next_check_at is not null', [identityId])
  const begun = await world.run((trx) => beginDueCheck(trx, identityId))
  await hurry()
  await expect.poll(async () => (await lastCheck()).state, { timeout: 15_000 }).toBe('done')
  return begun
}

/** The next turn of the check is now. */
const hurry = () =>
  world.database.superuser(
    `update obligation o set next_at = now() from credential_check k where o.subject_id = k.id and o.kind = 'offer' and k.identity_id = $1`,
    [identityId],
  )

const changeBehindOurBack = () => world.target.run(`alter role ${role.username} password 'of somebody else'`)
const notices = async () => (await world.call('GET', `/v1/notices?kind=credential.drifted&subjectId=${identityId}`)).body.items
const drifted = async () => (await world.call('GET', '/v1/identities?health=drifted&limit=100')).body.items.map(({ id }: { id: string }) => id)

test('a value that logs in is in sync, by one login that changes nothing', async () => {
  expect(await health()).toMatchObject({ sync: 'unknown', health: 'unknown', checkedAt: null })
  expect(await check()).toMatchObject({ state: 'done', outcome: 'in_sync', reason: null, logins: 1, credentialVersion: 1 })
  expect(await health()).toMatchObject({ sync: 'in_sync', health: 'in_sync', unreachableSince: null, checkedAt: expect.any(String) })
  expect(await world.target.logsIn(role.username, role.password)).toBe(true)
  expect((await identity()).credentialVersion).toBe(1)
})

describe('a password that was changed behind our back', () => {
  beforeEach(changeBehindOurBack)

  test('is found out by one refused login, told once, and never tried again by itself', async () => {
    const before = proxy.connections()
    expect(await checkDue()).toBe(true)
    expect((await lastCheck()).hosts[0]).toMatchObject({ outcome: 'drifted', reason: 'denied', requestedBy: null })
    expect([await health(), (await identity()).nextCheckAt]).toMatchObject([{ health: 'drifted' }, null])
    expect(await drifted()).toContain(identityId)
    expect(await notices()).toMatchObject([{ severity: 'warning', facts: { hostId } }])
    expect(await checkDue()).toBe(false)
    await world.call('PATCH', `/v1/identities/${identityId}`, { checkIntervalHours: 1 })
    expect((await identity()).nextCheckAt).toBeNull()
    expect(proxy.connections() - before).toBe(1)
    // A person may ask again; nobody is told twice.
    expect(await check()).toMatchObject({ outcome: 'drifted', logins: 1 })
    expect(await notices()).toHaveLength(1)
    const { rows } = await world.database.superuser(`select actor_kind, host_id from audit_event where identity_id = $1 and action = 'credential.drifted'`, [
      identityId,
    ])
    expect(rows).toEqual([{ actor_kind: 'connector', host_id: hostId }])
  })

  test('is back in the schedule when a person stores the value that works', async () => {
    expect(await check()).toMatchObject({ outcome: 'drifted' })
    expect((await world.call('PATCH', `/v1/identities/${identityId}`, { credential: 'of somebody else' })).status).toBe(200)
    expect([await health(), (await identity()).nextCheckAt]).toMatchObject([{ health: 'unknown', checkedAt: null }, expect.any(String)])
    expect(await checkDue()).toBe(true)
    expect(await health()).toMatchObject({ health: 'in_sync' })
  })

  test('is healed through the admin identity where the identity says so, and the vaulted value logs in', async () => {
    identityId = await add({ hostIds: [adminHostId], checkIntervalHours: 24, reconcileDrift: true })
    const before = proxy.connections()
    expect(await check()).toMatchObject({ outcome: 'drifted' })
    const rotationId = (await identity()).rotationId as RotationId
    expect((await world.call('GET', `/v1/rotations/${rotationId}`)).body).toMatchObject({ trigger: 'drift' })
    expect(await world.drive(rotationId)).toMatchObject({ state: 'confirmed' })
    // The refused login, the admin's, and the proof.
    expect(proxy.connections() - before).toBe(3)
    expect(await world.target.logsIn(role.username, await world.vaulted(identityId))).toBe(true)
    expect([await health(), (await identity()).nextCheckAt]).toMatchObject([{ health: 'in_sync' }, expect.any(String)])
    expect(await drifted()).not.toContain(identityId)
  }, 30_000)
})

test('a target that is stopped is unreachable, which says nothing of the value, and the schedule goes on', async () => {
  expect(await check()).toMatchObject({ outcome: 'in_sync' })
  await proxy.set('closed')
  expect(await check()).toMatchObject({ outcome: 'unreachable', reason: 'unreachable' })
  expect(await health()).toMatchObject({ sync: 'in_sync', health: 'unreachable', unreachableSince: expect.any(String) })
  expect((await identity()).nextCheckAt).not.toBeNull()
  expect(await notices()).toEqual([])
  await proxy.set('pass')
  expect(await checkDue()).toBe(true)
  expect(await health()).toMatchObject({ health: 'in_sync', unreachableSince: null })
}, 30_000)

test('a connector that is away makes it unreachable after three offers, without a login', async () => {
  const away = await world.joinConnector()
  await world.call('PATCH', `/v1/hosts/${hostId}`, { connectorId: away.id })
  const before = proxy.connections()
  expect((await world.call('POST', `/v1/identities/${identityId}/check`, {})).status).toBe(202)
  await expect.poll(async () => (await hurry()) && (await lastCheck()).state, { timeout: 15_000 }).toBe('done')
  expect((await lastCheck()).hosts[0]).toMatchObject({ outcome: 'unreachable', reason: 'connector-offline' })
  expect(proxy.connections()).toBe(before)
  await world.call('PATCH', `/v1/hosts/${hostId}`, { connectorId: connector.id })
}, 30_000)

test('a connector that dies between login and result, again and again, has it asked twice and no more', async () => {
  const mortal = await world.joinConnector([`127.0.0.1:${proxy.port}`])
  let loggedIn = () => {}
  const logIn: Adapter['logIn'] = async (...login) => {
    await postgresAdapter.logIn(...login)
    loggedIn()
    return new Promise(() => {})
  }
  await world.call('PATCH', `/v1/hosts/${hostId}`, { connectorId: mortal.id })
  const before = proxy.connections()
  for (let life = 0; life < 3; life += 1) {
    const died = new Promise<void>((resolve) => void (loggedIn = resolve))
    const living = runConnector(mortal.home, { postgres: { ...postgresAdapter, logIn } })
    const heard = `select last_seen_at is not null and instance = $2::uuid as heard from connector where id = $1`
    await expect.poll(async () => (await world.database.superuser(heard, [mortal.id, living.instance])).rows[0].heard, { timeout: 10_000 }).toBe(true)
    if (life === 0) await world.call('POST', `/v1/identities/${identityId}/check`, {})
    else await world.database.superuser(`update credential_check set lease_until = now() where identity_id = $1 and state = 'claimed'`, [identityId])
    await hurry()
    if (life < 2) await died
    else await expect.poll(async () => (await lastCheck()).state, { timeout: 10_000 }).toBe('done')
    await living.stop(0)
  }
  expect((await lastCheck()).hosts[0]).toMatchObject({ outcome: 'unknown', reason: 'lapsed' })
  expect([proxy.connections() - before, (await health()).health]).toEqual([2, 'unknown'])
  await world.call('PATCH', `/v1/hosts/${hostId}`, { connectorId: connector.id })
}, 60_000)

test('a rotation need not wait for a check, and the result that comes after it counts nothing', async () => {
  await proxy.set('stall')
  expect((await world.call('POST', `/v1/identities/${identityId}/check`, {})).status).toBe(202)
  await expect.poll(async () => (await lastCheck()).hosts[0].state, { timeout: 10_000 }).toBe('claimed')
  const rotationId = await world.rotate(identityId)
  expect((await lastCheck()).hosts[0]).toMatchObject({ state: 'cancelled', outcome: null })
  const refused = await world.call('POST', `/v1/identities/${identityId}/check`, {})
  expect([refused.status, refused.body.code, refused.body.rotationId]).toEqual([409, 'rotation-open', rotationId])
  await proxy.set('pass')
  expect(await world.drive(rotationId)).toMatchObject({ state: 'confirmed' })
  expect(await health()).toMatchObject({ health: 'in_sync', credentialVersion: 2 })
  const { rows } = await world.database.superuser(`select count(*)::int as altered from audit_event where action = 'job.reported' and effect = 'deny'`)
  expect(rows).toEqual([{ altered: 0 }])
}, 30_000)

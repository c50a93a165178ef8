import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { postgresAdapter } from '#connector/adapters/postgres.ts'
import type { RunningConnector } from '#connector/connector.ts'
import { runConnector } from './support.ts'
import { createBridgeWorld, type BridgeWorld } from './world.ts'

let world: BridgeWorld
let connector: { readonly id: Awaited<ReturnType<BridgeWorld['joinConnector']>>['id']; readonly home: string }
let running: RunningConnector
beforeAll(async () => {
  world = await createBridgeWorld()
  connector = await world.joinConnector()
  running = runConnector(connector.home)
}, 30_000)
afterAll(async () => {
  await running.stop()
  await world.end()
})

test('a rotation is offered, claimed, done and proven: the vaulted value logs in and the old one is refused', async () => {
  const { role, identityId } = await world.addAccount(connector.id)
  const rotation = await world.untilRotation(await world.rotate(identityId), 'confirmed')
  expect(rotation.jobs.map(({ state, epoch, attempts }) => ({ state, epoch, attempts }))).toEqual([{ state: 'confirmed', epoch: 1, attempts: 1 }])
  const value = await world.vaulted(identityId)
  expect(value).not.toBe(role.password)
  expect(await world.target.logsIn(role.username, value)).toBe(true)
  expect(await world.target.logsIn(role.username, role.password)).toBe(false)
  const figures = await world.metrics.render()
  expect(figures).toMatch(/^leasehold_job_claims_granted_total 1$/m)
  expect(figures).toMatch(/^leasehold_job_results_total{outcome="recorded"} 1$/m)
  expect(figures).toMatch(/^leasehold_duties_delivered_total{kind="offer"} \d+$/m)
})

test('values from before vault keys reach the connector only while they are open, and are sealed anew by the claim', async () => {
  const addLegacy = async () => {
    const account = await world.addAccount(connector.id)
    await world.database.superuser(`update credential_version set encryption_version = 0, key_id = 'legacy', ciphertext = $2 where identity_id = $1`, [
      account.identityId,
      Buffer.from(account.role.password),
    ])
    return account
  }
  const actions = async (identityId: string) =>
    (await world.database.superuser(`select action, actor_id from audit_event where identity_id = $1 and action like 'credential.%'`, [identityId])).rows
  const refused = await addLegacy()
  await world.rotate(refused.identityId)
  await expect.poll(() => actions(refused.identityId), { timeout: 10_000 }).toContainEqual({ action: 'credential.decryption_failed', actor_id: connector.id })
  expect(await world.target.logsIn(refused.role.username, refused.role.password)).toBe(true)
  await world.database.superuser('update organization set legacy_open = true where id = $1', [world.organizationId])
  const { role, identityId } = await addLegacy()
  await world.untilRotation(await world.rotate(identityId), 'confirmed')
  expect(await actions(identityId)).toEqual([{ action: 'credential.upgraded', actor_id: connector.id }])
  expect(await world.target.logsIn(role.username, await world.vaulted(identityId))).toBe(true)
}, 30_000)

test('a target that is not in the list of the connector is not dialled, whatever the control plane asks, and the job says so', async () => {
  const { role, identityId } = await world.addAccount(connector.id)
  let connections = 0
  const elsewhere = createServer(() => void connections++).listen(0, '127.0.0.1')
  await once(elsewhere, 'listening')
  const hostId = (await world.call('GET', `/v1/identities/${identityId}`)).body.hostIds[0]
  const { port } = elsewhere.address() as AddressInfo
  // Past the API, which would wait for the job that the test before has left claimed on this host.
  await world.database.superuser('update host set port = $2 where id = $1', [hostId, port])
  await world.rotate(identityId)
  const job = async () => (await world.call('GET', `/v1/jobs?identityId=${identityId}`)).body.items[0]
  await expect.poll(job, { timeout: 20_000 }).toMatchObject({ attempts: 1, reason: 'not-allowed' })
  expect(connections).toBe(0)
  expect(await world.target.logsIn(role.username, role.password)).toBe(true)
  elsewhere.close()
}, 30_000)

test('a job that comes when the connector has its hands full waits for a free one, and not for the next round', async () => {
  let letGo = () => {}
  const full = new Promise<void>((resolve) => {
    letGo = resolve
  })
  let begun = 0
  const busy = await world.joinConnector()
  const slow = runConnector(busy.home, {
    postgres: {
      ...postgresAdapter,
      change: async (target, change) => {
        begun += 1
        await full
        return postgresAdapter.change(target, change)
      },
    },
  })
  try {
    const accounts = await Promise.all(Array.from({ length: 17 }, () => world.addAccount(busy.id)))
    const rotations = await Promise.all(accounts.map(({ identityId }) => world.rotate(identityId)))
    await expect.poll(() => begun, { timeout: 15_000 }).toBe(16)
    const offers = `select count(*)::int as offered from job where rotation_id = any($1) and offered_at is not null`
    await expect.poll(async () => (await world.database.superuser(offers, [rotations])).rows[0].offered, { timeout: 10_000 }).toBe(17)
    letGo()
    // Without an answer an offer would be repeated after 10 s.
    for (const id of rotations) await world.untilRotation(id, 'confirmed', 6_000)
  } finally {
    letGo()
    await slow.stop()
  }
}, 60_000)

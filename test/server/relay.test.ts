import pino from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Loop } from '#server/loop.ts'
import { ensureSearchAttributes } from '#server/reconcile.ts'
import { startRelay } from '#server/relay.ts'
import { connectTemporal, type Temporal } from '#server/temporal.ts'
import { acme } from '#stack/people.ts'
import { workflowIdOf } from '#workflows/messages.ts'
import { createApiWorld, type ApiWorld } from '../api/world.ts'
import { startTemporal, type TestTemporal } from '../support/temporal.ts'

/** A workflow may have two signals: a third one is refused by Temporal itself, for that subject alone. */
const twoSignals = 'history.maximumSignalsPerExecution=2'

let world: ApiWorld
let server: TestTemporal
let temporal: Temporal
let relay: Loop
const logged: Record<string, unknown>[] = []
const log = pino({ level: 'warn' }, { write: (line: string) => void logged.push(JSON.parse(line)) })
beforeAll(async () => {
  ;[world, server] = await Promise.all([createApiWorld(), startTemporal([twoSignals])])
  temporal = await connectTemporal({ address: server.address, tls: undefined }, server.namespace, {})
  await ensureSearchAttributes(temporal.client, server.namespace)
  relay = startRelay({ db: world.database.as('leasehold_relay'), temporal, taskQueueSuffix: '', log, onNewNamespace: () => {} })
})
afterAll(async () => {
  await relay?.stop()
  await temporal?.close()
  await server?.stop()
  await world?.end()
})

const ask = { reason: 'relay', durationMinutes: 30 }
const checkout = async (identityId: string, key?: string) =>
  world.post('sam', `/v1/identities/${identityId}/checkout`, ask, key === undefined ? {} : { 'idempotency-key': key })
const silentFor = (minutes: number) =>
  world.database.superuser(`update relay_state set last_temporal_call_at = clock_timestamp() - make_interval(mins => $1)`, [minutes])
const dutyOf = async (subjectId: string) =>
  (await world.database.superuser('select delivered >= version as delivered, attempts, quarantined_at from obligation where subject_id = $1', [subjectId]))
    .rows[0]
const delivered = async (subjectId: string) => (await dutyOf(subjectId)).delivered
const look = { timeout: 30_000, interval: 100 }

test('a standard checkout stops when Temporal is silent for more than 15 minutes, a replay goes on, and both go on when it is back', async () => {
  const [held, free] = [await world.addIdentity('held'), await world.addIdentity('free')]
  const first = await checkout(held, 'before')
  expect(first.status).toBe(201)
  await expect.poll(() => delivered(first.body.lease.id), look).toBe(true)
  await server.kill()
  await silentFor(14)
  expect((await checkout(await world.addIdentity('soon'))).status).toBe(201)
  await silentFor(16)
  const refused = await checkout(free)
  expect([refused.status, refused.body.code, refused.body.role]).toEqual([503, 'dependency-unavailable', 'temporal'])
  expect(refused.headers.get('retry-after')).toBe('5')
  expect([(await checkout(held, 'before')).status, (await world.post('sam', `/v1/leases/${first.body.lease.id}/checkin`)).status]).toEqual([201, 200])
  await server.start()
  await expect.poll(async () => (await checkout(free)).status, look).toBe(201)
}, 90_000)

test('a duty that Temporal refuses is quarantined after 20 tries, holds up no other, and is retried by command', async () => {
  const { body } = await checkout(await world.addIdentity('refused'))
  const leaseId: string = body.lease.id
  const subject = { accountId: acme.id, subjectId: leaseId }
  await expect.poll(() => delivered(leaseId), look).toBe(true)
  // No worker runs, so its workflow stays open and keeps the signals that it may have.
  const extend = async () => expect((await world.post('sam', `/v1/leases/${leaseId}/extend`, { minutes: 5 })).status).toBe(200)
  await extend()
  await expect.poll(() => delivered(leaseId), look).toBe(true)
  await extend()
  const attempts = async () => {
    await world.database.superuser(`update obligation set next_at = clock_timestamp() where subject_id = $1 and next_at > clock_timestamp()`, [leaseId])
    relay.wake()
    return (await dutyOf(leaseId)).attempts
  }
  await expect.poll(attempts, look).toBeGreaterThan(2)
  const other = await checkout(await world.addIdentity('other'))
  await expect.poll(() => delivered(other.body.lease.id), look).toBe(true)
  await expect.poll(attempts, look).toBe(20)
  expect((await dutyOf(leaseId)).quarantined_at).not.toBeNull()
  expect(logged).toContainEqual(expect.objectContaining({ msg: 'duty quarantined', kind: 'lease', subjectId: leaseId }))

  const listed = await world.call('mia', 'GET', '/v1/duties?state=quarantined')
  expect(listed.body.items).toMatchObject([{ kind: 'lease', subjectId: leaseId, account: acme.id, state: 'quarantined', attempts: 20, nextAt: null }])
  // What an operator does about it: the run that takes no more signals goes away, and nothing is lost with it.
  await temporal.client.workflow.getHandle(workflowIdOf('lease', subject)).terminate()
  const retried = await world.post('mia', `/v1/duties/lease/${leaseId}/retry`)
  expect([retried.status, retried.body.duty.state]).toEqual([200, 'owed'])
  await expect.poll(() => delivered(leaseId), look).toBe(true)
  expect((await temporal.client.workflow.getHandle(workflowIdOf('lease', subject)).describe()).status.name).toBe('RUNNING')
  expect((await world.call('mia', 'GET', '/v1/duties?state=quarantined')).body.items).toEqual([])
}, 90_000)

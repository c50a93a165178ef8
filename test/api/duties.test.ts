import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { absent } from './support.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
let leaseId: string
beforeAll(async () => {
  world = await createApiWorld()
})
afterAll(() => world?.end())
beforeEach(async () => {
  await world.database.superuser('delete from obligation')
  const identityId = await world.addIdentity(`identity ${Math.random()}`)
  leaseId = (await world.post('sam', `/v1/identities/${identityId}/checkout`, { reason: 'duties', durationMinutes: 30 })).body.lease.id
})

const quarantine = () =>
  world.database.superuser(`update obligation set attempts = 20, last_error = 'TestError', quarantined_at = clock_timestamp() where subject_id = $1`, [leaseId])
const retry = (sub: string, path = `lease/${leaseId}`) => world.post(sub, `/v1/duties/${path}/retry`)
const events = async (action: string) => (await world.call('axe', 'GET', `/v1/audit/events?action=${action}`)).body.items

test('duties are shown with what they failed on, by state and by kind', async () => {
  await quarantine()
  const list = async (query: string) => (await world.call('ola', 'GET', `/v1/duties?${query}`)).body.items
  expect(await list('')).toMatchObject([{ kind: 'lease', subjectId: leaseId, state: 'quarantined', attempts: 20, lastError: 'TestError' }])
  expect(await list('state=owed')).toEqual([])
  expect(await list('kind=rotation')).toEqual([])
  expect(await list('kind=lease&state=quarantined')).toHaveLength(1)
})

test('a retry ends the quarantine and is on record; one of nothing is not found', async () => {
  await quarantine()
  const { status, body } = await retry('ola')
  expect([status, body.duty]).toMatchObject([200, { subjectId: leaseId, state: 'owed', attempts: 0, quarantinedAt: null }])
  expect(await events('duty.retried')).toMatchObject([{ effect: 'permit', actor: { sub: 'ola' }, detail: { kind: 'lease', subjectId: leaseId } }])
  expect([(await retry('ola', `lease/${absent}`)).status, (await retry('ola', `other/${leaseId}`)).status]).toEqual([404, 404])
})

test('reconciliation owes what is not final once more, in this account only, and is on record', async () => {
  await world.database.superuser('update obligation set delivered = version')
  await world.database.superuser(`insert into obligation (account_id, kind, subject_id, delivered) values (gen_random_uuid(), 'lease', gen_random_uuid(), 1)`)
  const { status, body } = await world.post('ola', '/v1/duties/reconcile')
  expect([status, body]).toEqual([202, { reopened: 1 }])
  expect((await world.call('ola', 'GET', '/v1/duties')).body.items).toMatchObject([{ subjectId: leaseId, state: 'owed' }])
  expect((await world.database.superuser('select 1 from obligation where delivered < version')).rowCount).toBe(1)
  expect(await events('duty.reconciled')).toMatchObject([{ actor: { sub: 'ola' }, detail: { reopened: 1 } }])
})

test('reconciliation of a large account is done in parts, each on record', async () => {
  const before = (await events('duty.reconciled')).length
  await world.database.superuser(
    `insert into obligation (account_id, kind, subject_id) select account_id, 'lease', gen_random_uuid() from obligation, generate_series(1, 4500)`,
  )
  await world.database.superuser('update obligation set delivered = version')
  expect((await world.post('ola', '/v1/duties/reconcile')).body).toEqual({ reopened: 4_501 })
  const parts = (await events('duty.reconciled')).slice(0, -before || undefined)
  expect(parts.map((part: { detail: { reopened: number } }) => part.detail.reopened)).toEqual([501, 2_000, 2_000])
})

test('who may not manage organizations is refused, on record, and another account finds nothing', async () => {
  await quarantine()
  const refusals = [await world.call('sam', 'GET', '/v1/duties'), await retry('sam'), await world.post('axe', '/v1/duties/reconcile')]
  expect(refusals.map(({ status }) => status)).toEqual([403, 404, 404])
  expect(await events('duty.retry')).toMatchObject([{ effect: 'deny', outcome: 'not-found', actor: { sub: 'sam' } }])
  expect((await world.call('gus', 'GET', '/v1/duties')).body.items).toEqual([])
  expect((await retry('gus')).status).toBe(404)
  expect((await world.database.superuser('select quarantined_at from obligation where subject_id = $1', [leaseId])).rows[0].quarantined_at).not.toBeNull()
})

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRotationActivities, type RotationActivities } from '#activities/rotation.ts'
import { acme } from '#stack/people.ts'
import { readExpirerFigures } from '#store/expirer-figures.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
let worker: RotationActivities
beforeAll(async () => {
  world = await createApiWorld()
  worker = createRotationActivities({ db: world.database.as('leasehold_worker'), vaultKeys: world.parts.vaultKeys })
})
afterAll(() => world?.end())

const userId = (sub: string) => acme.users.find((user) => user.sub === sub)?.id
const subject = (rotation: string) => ({ accountId: acme.id, subjectId: rotation })
const read = async (rotation: string) => (await world.call('vic', 'GET', `/v1/rotations/${rotation}`)).body
const listed = async (query: string): Promise<string[]> =>
  (await world.call('vic', 'GET', `/v1/rotations?${query}`)).body.items.map(({ id }: { id: string }) => id)
const age = (rotation: string, interval: string) =>
  world.database.superuser('update rotation set started_at = started_at - $2::interval where id = $1', [rotation, interval])

async function rotate(body: object = {}, settings: object = { hostIds: [world.hostId] }): Promise<{ readonly identity: string; readonly rotation: string }> {
  const identity = await world.addIdentity(randomUUID(), { ...settings })
  const { status, body: answer } = await world.post('mia', `/v1/identities/${identity}/rotate`, body)
  expect([status, answer.detail]).toEqual([202, undefined])
  return { identity, rotation: answer.rotation.id }
}

test('how long a rotation may be pending is a setting of the organization: a day unless it says otherwise', async () => {
  const path = `/v1/organizations/${world.organizationId}`
  expect((await world.call('mia', 'GET', path)).body.rotationLimitMinutes).toBe(1440)
  for (const rotationLimitMinutes of [4, 43_201, 5.5, null]) {
    const { status, body } = await world.call('mia', 'PATCH', path, { body: { rotationLimitMinutes } })
    expect([status, body.errors?.map((error: { path: string }) => error.path)]).toEqual([422, ['rotationLimitMinutes']])
  }
  const { rotation } = await rotate()
  await age(rotation, '31 minutes')
  expect((await read(rotation)).stuckSince).toBeNull()
  expect((await world.call('mia', 'PATCH', path, { body: { rotationLimitMinutes: 30 } })).body.rotationLimitMinutes).toBe(30)
  const { startedAt, stuckSince } = await read(rotation)
  expect(Date.parse(stuckSince) - Date.parse(startedAt)).toBe(30 * 60_000)
  expect((await world.call('mia', 'PATCH', path, { body: { rotationLimitMinutes: 1440 } })).status).toBe(200)
  expect((await read(rotation)).stuckSince).toBeNull()
})

test('stuck rotations are listed, each with what it waits for, host by host', async () => {
  const { identity, rotation } = await rotate()
  const [{ rotation: young }, { rotation: hostless }] = [await rotate(), await rotate({ vaultOnly: true }, {})]
  const causes = async () => (await read(rotation)).waitsFor
  const wait = (cause: string, more: object = {}) => [{ hostId: world.hostId, cause, since: null, until: null, userId: null, ...more }]
  const moment = expect.stringMatching(/^\d{4}-.*Z$/)
  for (const id of [rotation, hostless]) await age(id, '25 hours')
  expect(await causes()).toEqual(wait('worker', { hostId: null, since: moment }))
  for (const id of [rotation, hostless]) {
    await worker.stageRotation(subject(id))
    await worker.openRotationJobs(subject(id))
  }
  const stuck = await listed('stuck=true')
  expect([stuck.includes(rotation), stuck.includes(hostless), stuck.includes(young)]).toEqual([true, true, false])
  const others = await listed('stuck=false')
  expect([others.includes(rotation), others.includes(young)]).toEqual([false, true])
  expect((await read(hostless)).waitsFor).toEqual(wait('person', { hostId: null, since: moment }))

  const connector = (set: string) => world.database.superuser(`update connector set ${set} where id = $1`, [world.connectorId])
  const job = (set: string) => world.database.superuser(`update job set ${set} where rotation_id = $1`, [rotation])
  expect(await causes()).toEqual(wait('connector-offline'))
  for (const state of ['joining', 'active']) await connector(`state = '${state}', last_seen_at = now() - interval '2 days'`)
  expect(await causes()).toEqual(wait('connector-offline', { since: moment }))
  await connector('last_seen_at = now()')
  expect(await causes()).toEqual(wait('offer'))
  await job(`reason_class = 'unreachable', attempts = 3`)
  expect(await causes()).toEqual(wait('target', { until: moment }))
  const checkout = await world.post('sam', `/v1/identities/${identity}/checkout`, { reason: 'in the way', durationMinutes: 30 })
  expect(checkout.status).toBe(201)
  expect(await causes()).toEqual(wait('lease', { since: checkout.body.lease.startedAt, until: checkout.body.lease.expiresAt, userId: userId('sam') }))
  await job(`state = 'claimed', instance = gen_random_uuid(), claimed_at = now(), lease_until = now() + interval '30 seconds'`)
  expect(await causes()).toEqual(wait('connector', { since: moment, until: moment }))
  await job(`state = 'doubt', kind = 'probe', doubt_since = now() - interval '1 hour'`)
  expect(await causes()).toEqual(wait('probe', { since: moment, until: moment }))
  await worker.raiseRotationAttention(subject(rotation))
  expect(await causes()).toEqual(wait('person', { since: moment }))
  await world.database.superuser(`update rotation set needs_attention = false where id = $1`, [rotation])
  await connector(`state = 'revoked', revoked_at = now()`)
  expect(await causes()).toEqual(wait('connector-revoked', { since: moment }))
  expect((await world.post('ola', `/v1/rotations/${hostless}/resolve`, { outcome: 'applied', reason: 'set by hand' })).body.rotation).toMatchObject({
    state: 'confirmed',
    stuckSince: null,
    waitsFor: [],
  })
  expect(await listed('stuck=true')).not.toContain(hostless)
})

test('every admin is told once, with the cause, on record, and not before the time is over', async () => {
  const { identity, rotation } = await rotate({ vaultOnly: true }, {})
  const notices = async () =>
    (
      await world.database.superuser(
        `select n.kind, n.severity, n.facts, array_agg(r.user_id::text) as told from notice n join notice_recipient r on r.notice_id = n.id where n.subject_id = $1 and n.kind = 'rotation.stuck' group by n.id, n.kind, n.severity, n.facts`,
        [rotation],
      )
    ).rows
  const left = async () => (await worker.lookAtRotation(subject(rotation))).stuckInMs ?? Number.NaN
  expect(Math.abs((await left()) - 86_400_000)).toBeLessThan(60_000)
  await worker.tellRotationStuck(subject(rotation))
  expect(await notices()).toEqual([])
  await worker.stageRotation(subject(rotation))
  await worker.openRotationJobs(subject(rotation))
  const expirer = world.database.as('leasehold_expirer')
  const before = (await readExpirerFigures(expirer)).stuckRotations
  await age(rotation, '24 hours')
  expect((await readExpirerFigures(expirer)).stuckRotations).toBe(before + 1)
  expect(await left()).toBeLessThanOrEqual(0)
  for (let run = 0; run < 2; run++) await worker.tellRotationStuck(subject(rotation))
  expect(await left()).toBeNaN()
  const [notice, ...more] = await notices()
  expect(more).toEqual([])
  expect(notice).toMatchObject({
    kind: 'rotation.stuck',
    severity: 'warning',
    facts: { identityId: identity, vaultId: world.vaultId, hostId: null, cause: 'person' },
  })
  expect(notice.told.sort()).toEqual([userId('mia'), userId('ola')].sort())
  const { items } = (await world.call('axe', 'GET', `/v1/audit/events?identityId=${identity}`)).body
  expect(items.filter(({ action }: { action: string }) => action === 'rotation.stuck')).toMatchObject([{ outcome: 'person', actor: { kind: 'workflow' } }])
})

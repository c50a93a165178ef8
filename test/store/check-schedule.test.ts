import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createSweepActivities } from '#activities/sweep.ts'
import { HostId, type JobId } from '#schemas/ids.ts'
import { beginCheck } from '#store/begin-check.ts'
import { changeHost, createHost } from '#store/change-host.ts'
import { changeIdentity } from '#store/change-identity.ts'
import { beginDueCheck } from '#store/check-sweep.ts'
import { readExpirerFigures } from '#store/expirer-figures.ts'
import { readIdentity } from '#store/identity.ts'
import { createCheckWorld, type CheckWorld } from '../support/check-acts.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

/** Who is checked when, and what follows from a refused login. */

let database: TestDatabase
let world: CheckWorld['world']
let rotations: CheckWorld['rotations']
let acts: CheckWorld['acts']
let identity: CheckWorld['identity']
const actor = { kind: 'workflow', id: 'test' } as const
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database?.end())
beforeEach(async () => {
  ;({ world, rotations, acts, identity } = await createCheckWorld(database))
})

const read = () => world.account.run((trx) => readIdentity(trx, identity.id))
const health = async () => (await read()).hosts.map((host) => host.health)
const change = (fields: Parameters<typeof changeIdentity>[1]['change']) =>
  world.account.run((trx) => changeIdentity(trx, { id: identity.id, change: fields, actor }))

/** A person asks, and the value logs in or does not. */
async function check(logsIn: boolean): Promise<JobId> {
  const id = [...(await acts.ask(identity.id)).values()][0] as JobId
  await acts.claim(id, 1)
  await acts.report(id, 1, logsIn)
  return id
}

describe('an identity with several hosts', () => {
  beforeEach(async () => {
    const second = HostId.parse(uuidv7())
    const { organizationId, connectorId } = world
    const body = { organizationId, name: 'second', address: 'db2.internal', port: 5432, adapter: 'postgres', connectorId } as const
    await world.account.run((trx) => createHost(trx, second, body, actor))
    identity = await world.addIdentity({ hostIds: [world.hostId, second], checkIntervalHours: 24 })
  })

  test('is asked one after the other, and a person learns of each', async () => {
    const [one, two] = [...(await acts.ask(identity.id)).values()] as [JobId, JobId]
    await acts.claim(one, 1)
    expect([await acts.offer(two), await acts.claim(two, 1)]).toEqual([undefined, { refused: 'later' }])
    await acts.report(one, 1, false)
    expect(await acts.offer(two)).toMatchObject({ epoch: 1 })
  })

  test('is not tried on the next one by the schedule after it was refused', async () => {
    await rotations.asWorker((trx) => beginCheck(trx, { identityId: identity.id, actor }))
    const { rows } = await database.superuser('select id from credential_check where identity_id = $1', [identity.id])
    const [one, two] = rows.map((row) => row.id as JobId) as [JobId, JobId]
    await acts.claim(one, 1)
    await acts.report(one, 1, false)
    expect([(await acts.read(two)).state, (await health()).sort()]).toEqual(['cancelled', ['drifted', 'unknown']])
  })
})

describe('the schedule', () => {
  const due = () => database.superuser(`update identity set next_check_at = now() - interval '1 minute' where id = $1`, [identity.id])
  const sweep = (more = {}) =>
    createSweepActivities({ expirer: database.as('leasehold_expirer', 1), worker: database.as('leasehold_worker', 1), ...more }).sweepDueChecks(null)

  test('begins at a moment within the first interval, and from then on within its last tenth', async () => {
    const hours = async () => (Date.parse((await read()).nextCheckAt ?? '') - Date.now()) / 3_600_000
    expect(await hours()).toBeGreaterThan(0)
    expect(await hours()).toBeLessThan(24)
    await check(true)
    expect(await hours()).toBeGreaterThan(21.5)
    await change({ checkIntervalHours: null })
    expect((await read()).nextCheckAt).toBeNull()
  })

  test('finds what is due page by page, and one that cannot be checked keeps no other from it', async () => {
    const id = await check(true)
    const bare = await world.addIdentity({ checkIntervalHours: 1 })
    await database.superuser(`update identity set next_check_at = now() - interval '2 minutes' where id = $1`, [bare.id])
    await due()
    const first = await sweep({ pageSize: 1 })
    expect(first).toMatchObject({ begun: 0, next: { identityId: bare.id } })
    expect(await sweep({ pageSize: 200 })).toMatchObject({ begun: 1, failed: 0, next: null })
    expect(await acts.read(id)).toMatchObject({ state: 'waiting' })
    const { rows } = await database.superuser(`select outcome from audit_event where identity_id = $1 and action = 'check.skipped'`, [bare.id])
    expect(rows).toEqual([{ outcome: 'identity-has-no-hosts' }])
    // Not all at one moment.
    const { rows: offers } = await database.superuser(
      `select next_at between now() and now() + interval '5 minutes' as spread from obligation where kind = 'offer' and subject_id = $1`,
      [id],
    )
    expect(offers).toEqual([{ spread: true }])
  })

  test.each<[string, () => Promise<unknown>]>([
    ['is rotating', () => rotations.begin(identity.id)],
    ['is disabled', () => change({ state: 'disabled' })],
    ['has drifted', () => database.superuser(`update identity_host set sync = 'drifted' where identity_id = $1`, [identity.id])],
  ])('leaves one alone that %s', async (_why, happen) => {
    const id = await check(true)
    await happen()
    await due()
    expect(await rotations.asWorker((trx) => beginDueCheck(trx, identity.id))).toBe(false)
    expect(await acts.read(id)).toMatchObject({ state: 'done' })
  })
})

describe('a drift', () => {
  test('is rotated away in the transaction that records it, where there is an admin identity and the identity says so', async () => {
    const admin = await world.addIdentity()
    await world.account.run((trx) => changeHost(trx, world.hostId, { adminIdentityId: admin.id }, actor))
    identity = await world.addIdentity({ hostIds: [world.hostId], reconcileDrift: true })
    await check(false)
    const { rotationId } = await read()
    expect(await rotations.read(rotationId as never)).toMatchObject({ trigger: 'drift', state: 'pending' })
    expect((await readExpirerFigures(database.as('leasehold_expirer', 1))).driftedCredentials).toBeGreaterThan(0)
  })

  test('of an identity that is disabled is only told: a new value could open an account that was locked on purpose', async () => {
    const admin = await world.addIdentity()
    await world.account.run((trx) => changeHost(trx, world.hostId, { adminIdentityId: admin.id }, actor))
    identity = await world.addIdentity({ hostIds: [world.hostId], reconcileDrift: true })
    await change({ state: 'disabled' })
    await check(false)
    expect([(await read()).rotationId, await health()]).toEqual([null, ['drifted']])
  })

  test('is only told where the account would have to change itself, which is refused when it is promised', async () => {
    const refused = { code: 'validation-failed', facts: { errors: [expect.objectContaining({ path: 'reconcileDrift' })] } }
    await expect(change({ reconcileDrift: true })).rejects.toMatchObject(refused)
    await expect(world.addIdentity({ reconcileDrift: true })).rejects.toMatchObject(refused)
    await database.superuser('update identity set reconcile_drift = true where id = $1', [identity.id])
    await check(false)
    expect([(await read()).rotationId, await health()]).toEqual([null, ['drifted']])
  })
})

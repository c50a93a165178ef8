import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { LeaseholdError } from '#schemas/errors.ts'
import type { JobId } from '#schemas/ids.ts'
import { changeHost } from '#store/change-host.ts'
import { changeIdentity } from '#store/change-identity.ts'
import { deleteIdentity } from '#store/delete-identity.ts'
import { beginRotation } from '#store/begin-rotation.ts'
import { readExpirerFigures } from '#store/expirer-figures.ts'
import { readIdentity } from '#store/identity.ts'
import { createCheckWorld, type CheckWorld } from '../support/check-acts.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { hold, untilWaiting } from '../support/hold.ts'
import { checkOut } from '../support/leases.ts'
import { storedValue } from '../support/stored-value.ts'

let database: TestDatabase
let world: CheckWorld['world']
let rotations: CheckWorld['rotations']
let acts: CheckWorld['acts']
let identity: CheckWorld['identity']
let id: JobId
const actor = { kind: 'workflow', id: 'test' } as const
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database?.end())
beforeEach(async () => {
  ;({ world, rotations, acts, identity } = await createCheckWorld(database))
  id = [...(await acts.ask(identity.id)).values()][0] as JobId
})

const read = () => world.account.run((trx) => readIdentity(trx, identity.id))
const health = async () => (await read()).hosts.map((host) => host.health)
const change = (fields: Parameters<typeof changeIdentity>[1]['change'], more = {}) =>
  world.account.run((trx) => changeIdentity(trx, { id: identity.id, change: fields, actor, ...more }))
/** A slow machine may keep somebody waiting for longer than a lock is waited for. */
const orBusy = <T>(decision: Promise<T>): Promise<T | 'busy'> =>
  decision.catch((error: unknown) => (error instanceof LeaseholdError && error.code === 'busy' ? 'busy' : Promise.reject(error)))
const audited = async (action: string) =>
  (await database.superuser('select actor_kind, outcome from audit_event where identity_id = $1 and action = $2 order by id', [identity.id, action])).rows

describe('a claim of a check', () => {
  test('gives the known version and nothing else, to one instance; it keeps nobody from the identity', async () => {
    const first = await acts.claim(id, 1)
    expect(first).toMatchObject({ kind: 'check', username: 'app', staged: { version: 1 }, known: null, admin: null, target: { adapter: 'postgres' } })
    expect({ ...(await acts.claim(id, 1)), holdMs: 0 }).toEqual({ ...first, holdMs: 0 })
    expect(await acts.claim(id, 1, randomUUID())).toEqual({ refused: 'gone' })
    expect(await acts.claim(id, 2)).toEqual({ refused: 'gone' })
    expect(await audited('job.claimed')).toEqual([{ actor_kind: 'connector', outcome: 'success' }])
    const mia = await world.account.principal('mia')
    await world.account.run((trx) => checkOut(trx, mia, identity.id))
  })

  test('of two instances at once is given to one', async () => {
    const claims = await Promise.all([randomUUID(), randomUUID()].map((by) => orBusy(acts.claim(id, 1, by))))
    expect(claims.filter((claim) => claim !== 'busy' && 'staged' in claim)).toHaveLength(1)
  })

  test('of a deregistered connector, of another one, or before anything was asked is refused', async () => {
    await acts.claim(id, 1)
    await acts.report(id, 1, true)
    expect(await acts.claim(id, 2)).toEqual({ refused: 'gone' })
    await acts.ask(identity.id)
    await database.superuser(`update connector set state = 'revoked' where id = $1`, [world.connectorId])
    expect(await acts.claim(id, 2)).toEqual({ refused: 'gone' })
  })

  test('waits while the same account of the host is being asked or changed for another identity', async () => {
    const twin = await world.addIdentity({ hostIds: [world.hostId] })
    const twinCheck = [...(await acts.ask(twin.id)).values()][0] as JobId
    await acts.claim(twinCheck, 1)
    expect(await acts.claim(id, 1)).toEqual({ refused: 'later' })
    await acts.report(twinCheck, 1, true)
    expect(await acts.claim(id, 1)).toMatchObject({ epoch: 1 })
  })
})

test('at most half of the places of a connector go to checks', async () => {
  const others = await Promise.all(Array.from({ length: 8 }, (_, n) => world.addIdentity({ hostIds: [world.hostId], username: `app${n}` })))
  for (const other of others) {
    const [check] = [...(await acts.ask(other.id)).values()]
    expect(await acts.claim(check as JobId, 1)).toMatchObject({ epoch: 1 })
  }
  expect(await acts.claim(id, 1)).toEqual({ refused: 'later' })
})

describe('a result of a check', () => {
  beforeEach(() => acts.claim(id, 1))

  test('counts once, and only of the claim that it belongs to', async () => {
    expect(await acts.report(id, 1, true, { instance: randomUUID() })).toBe('stale')
    expect(await acts.report(id, 2, true)).toBe('stale')
    expect(await acts.report(id, 1, true)).toBe('recorded')
    expect(await acts.report(id, 1, false)).toBe('repeated')
    expect([await health(), await audited('credential.drifted')]).toEqual([['in_sync'], []])
  })

  test('of two at once decides one', async () => {
    const taken = await Promise.all([1, 2].map(() => orBusy(acts.report(id, 1, false))))
    expect(taken.filter((one) => one === 'recorded')).toHaveLength(1)
    expect(await audited('credential.drifted')).toHaveLength(1)
  })

  test('after another check was asked for says nothing of that one', async () => {
    await rotations.begin(identity.id)
    await database.superuser(`update rotation set state = 'cancelled' where identity_id = $1`, [identity.id])
    await acts.ask(identity.id)
    expect(await acts.report(id, 1, false)).toBe('stale')
    expect(await health()).toEqual(['unknown'])
  })

  test.each([true, false, null])('after a rotation has set another value counts nothing (logs in: %s)', async (logsIn) => {
    const rotationId = await rotations.begin(identity.id)
    const [jobId] = await rotations.open(rotationId)
    await rotations.claim(jobId as JobId, 1)
    await rotations.report(jobId as JobId, 1, 'confirmed')
    expect(await acts.report(id, 1, logsIn)).toBe('repeated')
    expect([await health(), await acts.read(id)]).toMatchObject([['in_sync'], { state: 'cancelled', outcome: null }])
  })

  test('for a version that is not the known one any more counts nothing, whatever moved it', async () => {
    await database.superuser('update identity_host set known_version = 2 where identity_id = $1', [identity.id])
    expect(await acts.report(id, 1, false)).toBe('recorded')
    expect([await health(), await acts.read(id)]).toMatchObject([['unknown'], { state: 'cancelled' }])
  })

  test('without a login says nothing of the value, and what was proven stays so', async () => {
    await acts.report(id, 1, true)
    await acts.ask(identity.id)
    await acts.claim(id, 2)
    await acts.report(id, 2, null)
    expect((await read()).hosts).toMatchObject([{ sync: 'in_sync', health: 'unreachable', unreachableSince: expect.any(String) }])
    expect((await readExpirerFigures(database.as('leasehold_expirer', 1))).unreachableCredentials).toBeGreaterThan(0)
    const [jobId] = await rotations.open(await rotations.begin(identity.id))
    await rotations.claim(jobId as JobId, 1)
    await rotations.report(jobId as JobId, 1, 'confirmed')
    expect((await read()).hosts).toMatchObject([{ health: 'in_sync', unreachableSince: null }])
  })
})

describe('a claim that is lost', () => {
  test('is offered once more, and may still be answered until somebody else takes it', async () => {
    await acts.claim(id, 1)
    expect(await acts.offer(id)).toBeUndefined()
    await acts.lose(id)
    expect(await acts.offer(id)).toMatchObject({ epoch: 2, kind: 'check' })
    expect(await acts.report(id, 1, true)).toBe('recorded')
    expect(await acts.claim(id, 2)).toEqual({ refused: 'gone' })
  })

  test('twice leaves it unknown, after two logins at most', async () => {
    for (const epoch of [1, 2]) {
      expect(await acts.offer(id)).toMatchObject({ epoch })
      expect(await acts.claim(id, epoch)).toMatchObject({ epoch })
      await acts.lose(id)
    }
    expect(await acts.offer(id)).toBeUndefined()
    expect(await acts.read(id)).toMatchObject({ state: 'done', outcome: 'unknown', reason_class: 'lapsed', claims: 2 })
    expect([await health(), await acts.claim(id, 3)]).toEqual([['unknown'], { refused: 'gone' }])
  })
})

describe('a check that was given up', () => {
  const giveUp = async () => {
    await acts.claim(id, 1)
    await acts.lose(id)
    await acts.hear(false)
    for (let turn = 0; turn < 4; turn += 1) await acts.offer(id)
    expect(await acts.read(id)).toMatchObject({ state: 'done', outcome: 'unreachable', reason_class: 'connector-offline' })
  }

  test('takes the result of a login that was made: nobody has to be refused once more', async () => {
    await giveUp()
    expect(await acts.report(id, 1, null)).toBe('repeated')
    expect([await acts.report(id, 1, false), await acts.report(id, 1, true)]).toEqual(['recorded', 'repeated'])
    expect([await health(), (await read()).nextCheckAt]).toEqual([['drifted'], null])
  })

  test.each<[string, () => Promise<unknown>]>([
    ['another user name', () => change({ username: 'other' })],
    ['another address of the host', () => world.account.run((trx) => changeHost(trx, world.hostId, { address: 'other.internal' }, actor))],
    ['a rotation that has begun', () => rotations.begin(identity.id)],
    [
      'a rotation that came to nothing',
      async () => {
        await rotations.begin(identity.id)
        await database.superuser(`update rotation set state = 'cancelled' where identity_id = $1`, [identity.id])
      },
    ],
  ])('takes none after %s: the login was made before it', async (_what, happen) => {
    await giveUp()
    await happen()
    expect(await acts.report(id, 1, false)).toBe('stale')
    expect(await audited('credential.drifted')).toEqual([])
  })
})

describe('a check and a rotation', () => {
  test('never meet: it is refused while one is pending, and cancelled by one that begins between its offer and its claim', async () => {
    expect(await acts.offer(id)).toMatchObject({ epoch: 1 })
    const rotationId = await rotations.begin(identity.id)
    expect([await acts.claim(id, 1), await acts.read(id)]).toMatchObject([{ refused: 'gone' }, { state: 'cancelled' }])
    await expect(acts.ask(identity.id)).rejects.toMatchObject({ code: 'rotation-open', facts: { rotationId } })
    expect(await acts.offer(id)).toBeUndefined()
  })

  test('rotation first, at the same instant: the claim waits for it and is refused', async () => {
    const beginning = hold(rotations.asWorker, (trx) => beginRotation(trx, { identityId: identity.id, trigger: 'manual', actor }))
    await beginning.reached
    const claiming = acts.claim(id, 1)
    await untilWaiting(database)
    beginning.go()
    await beginning.result
    expect(await claiming).toEqual({ refused: 'gone' })
  })

  test('check first: the rotation goes on beside it and takes the account', async () => {
    await acts.claim(id, 1)
    const [jobId] = await rotations.open(await rotations.begin(identity.id))
    expect(await rotations.claim(jobId as JobId, 1)).toMatchObject({ kind: 'reset' })
    expect(await acts.report(id, 1, false)).toBe('repeated')
    expect(await audited('credential.drifted')).toEqual([])
  })
})

test.each<[string, () => Promise<unknown>]>([
  ['another value', () => change({}, { seal: () => storedValue() })],
  ['another user name', () => change({ username: 'other' })],
  ['another address of the host', () => world.account.run((trx) => changeHost(trx, world.hostId, { address: 'other.internal' }, actor))],
  ['the end of the identity', () => world.account.run((trx) => deleteIdentity(trx, identity.id, actor))],
])('%s ends a check of how it was, and its result counts nothing', async (_what, happen) => {
  await acts.claim(id, 1)
  await happen()
  expect(await acts.report(id, 1, false)).toBe('repeated')
  expect([await acts.read(id), await audited('credential.drifted')]).toMatchObject([{ state: 'cancelled' }, []])
})

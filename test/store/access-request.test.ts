import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { changeAccessRequest } from '#store/change-access-request.ts'
import { cancelAccessRequest } from '#store/close-access-request.ts'
import { escalateRequest, expireRequest, readAccessRequestFacts } from '#store/access-request-time.ts'
import { inAccount } from '#store/connection.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { hold, untilWaiting } from '../support/hold.ts'
import { createApprovalWorld, type ApprovalWorld } from './approval-world.ts'

const minute = 60_000
let database: TestDatabase
let world: ApprovalWorld
beforeAll(async () => {
  database = await createTestDatabase()
  world = await createApprovalWorld(database)
  for (const name of ['ann', 'bob'] as const) await world.setMember(name, true)
})
afterAll(() => database?.end())

const group = () => [{ type: 'group', id: world.groupId } as const]
const two = () => ({ steps: [{ approvers: group(), needed: 2 }] })
const one = () => ({ steps: [{ approvers: group(), needed: 1 }] })
const leases = async (identityId: string): Promise<number> =>
  (await database.superuser('select count(*)::int as n from lease where identity_id = $1', [identityId])).rows[0].n
const notices = async (requestId: string, kind: string): Promise<string[]> =>
  (
    await database.superuser(
      `select u.name from notice n join notice_recipient r on r.notice_id = n.id join account_user u on u.id = r.user_id where n.subject_id = $1 and n.kind = $2 order by 1`,
      [requestId, kind],
    )
  ).rows.map((row) => row.name)
const code = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'done',
    (error: { code?: string }) => error.code ?? String(error),
  )
const worker = <T>(decide: Parameters<typeof inAccount<T>>[2]) => inAccount(workerPool(), world.account.id, decide)
let pool: ReturnType<TestDatabase['as']> | undefined
const workerPool = () => (pool ??= database.as('leasehold_worker', 2))
const clock = { kind: 'workflow', id: 'test' } as const

describe('two things at the same instant', () => {
  test('two approvals: both count, and the second one approves', async () => {
    const { identityId } = await world.addIdentity(two())
    const id = await world.open(identityId, 30)
    await Promise.all([world.decide(id, 'ann', 'approve', 1, 0), world.decide(id, 'bob', 'approve', 1, 1)])
    expect(await world.read(id)).toMatchObject({ state: 'approved', decisions: [{}, {}] })
  })

  test('one approver twice: it counts once', async () => {
    const { identityId } = await world.addIdentity(two())
    const id = await world.open(identityId, 30)
    await Promise.all([0, 1, 0, 1].map((replica) => world.decide(id, 'ann', 'approve', 1, replica)))
    expect(await world.read(id)).toMatchObject({ state: 'pending', decisions: [{}] })
  })

  test.each(['approval', 'cancel'])('an approval and the cancel, the %s first: it is cancelled, and nothing is checked out', async (first) => {
    const { identityId } = await world.addIdentity(one())
    const id = await world.open(identityId, 30)
    const { userId, actor } = world.account.people.sam
    const cancel = (trx: Parameters<typeof cancelAccessRequest>[0]) => cancelAccessRequest(trx, id, userId, actor)
    if (first === 'cancel') {
      const held = hold(world.account.run, cancel)
      await held.reached
      const approval = code(world.decide(id, 'ann', 'approve', 1, 1))
      await untilWaiting(database)
      held.go()
      await held.result
      expect(await approval).toBe('access-request-closed')
    } else {
      await world.decide(id, 'ann', 'approve')
      await world.account.run(cancel)
    }
    expect((await world.read(id)).state).toBe('cancelled')
    expect(await code(world.checkOut(identityId, id, 30))).toBe('access-request-closed')
    expect(await leases(identityId)).toBe(0)
  })

  test('two checkouts by one approval: one lease', async () => {
    for (let round = 0; round < 5; round += 1) {
      const { identityId } = await world.addIdentity(one())
      const id = await world.open(identityId, 30)
      await world.decide(id, 'ann', 'approve')
      const codes = await Promise.all([0, 1, 0, 1].map((replica) => code(world.checkOut(identityId, id, 30, replica))))
      expect(codes.filter((said) => said === 'done')).toHaveLength(1)
      expect(await leases(identityId)).toBe(1)
    }
  })

  test('a checkout and an edit, the edit first: nothing is checked out that was not approved', async () => {
    const { identityId } = await world.addIdentity(one())
    const id = await world.open(identityId, 30)
    await world.decide(id, 'ann', 'approve')
    const { userId, actor } = world.account.people.sam
    const edit = hold(world.account.run, (trx) => changeAccessRequest(trx, { id, userId, actor, minutes: 1440 }))
    await edit.reached
    const checkout = code(world.checkOut(identityId, id, 30, 1))
    await untilWaiting(database)
    edit.go()
    await edit.result
    expect(await checkout).toBe('approvals-missing')
    expect(await leases(identityId)).toBe(0)
  })

  test('a checkout and an edit, the checkout first: the request is used and cannot be edited', async () => {
    const { identityId } = await world.addIdentity(one())
    const id = await world.open(identityId, 30)
    await world.decide(id, 'ann', 'approve')
    const { userId, actor } = world.account.people.sam
    await world.checkOut(identityId, id, 30)
    expect(await code(world.account.run((trx) => changeAccessRequest(trx, { id, userId, actor, minutes: 1440 })))).toBe('access-request-closed')
  })
})

describe('requests of one person', () => {
  test('for the same thing at the same instant: one is made', async () => {
    const { identityId } = await world.addIdentity(one())
    const said = await Promise.all([0, 1, 2, 3].map(() => code(world.open(identityId, 30))))
    expect(said.toSorted()).toEqual(['access-request-open', 'access-request-open', 'access-request-open', 'done'])
  })

  test('are at most 20 that are open, and what is over by its time is open no more', async () => {
    await world.pass(60 * minute)
    const identities = await Promise.all(Array.from({ length: 21 }, async () => (await world.addIdentity(one())).identityId))
    const said = await Promise.all(identities.map((identityId) => code(world.open(identityId, 30))))
    expect(said.filter((answer) => answer === 'done')).toHaveLength(20)
    const [refused = expect.unreachable()] = identities.filter((_, index) => said[index] !== 'done')
    await expect(world.open(refused, 30)).rejects.toMatchObject({ code: 'access-request-limit', message: expect.stringContaining('20 open') })
    await world.pass(60 * minute)
    await world.open(refused, 30)
  })
})

describe('time', () => {
  test('ends a request at its last moment although no clock has written it down: no decision, no checkout', async () => {
    const { identityId } = await world.addIdentity(one())
    const silent = await world.open((await world.addIdentity(one())).identityId, 30)
    const unused = await world.open(identityId, 30)
    await world.decide(unused, 'ann', 'approve')
    const { approvedAt, expiresAt } = await world.read(unused)
    expect(expiresAt.getTime() - (approvedAt?.getTime() ?? 0)).toBe(30 * minute)
    await world.pass(30 * minute)
    expect((await world.read(unused)).state).toBe('expired')
    expect(await code(world.checkOut(identityId, unused, 30))).toBe('access-request-closed')
    await world.decide(silent, 'ann', 'approve')
    const { identityId: other } = await world.addIdentity(one())
    const late = await world.open(other, 30)
    await world.pass(60 * minute)
    expect(await code(world.decide(late, 'ann', 'approve'))).toBe('access-request-closed')
    expect((await database.superuser('select state from access_request where id = $1', [late])).rows).toEqual([{ state: 'pending' }])
  })

  test('that is written down by the workflow tells the requester, once, and changes nothing that was decided', async () => {
    const { identityId } = await world.addIdentity(one())
    const id = await world.open(identityId, 30)
    await worker((trx) => expireRequest(trx, id, clock))
    expect((await world.read(id)).state).toBe('pending')
    await world.pass(60 * minute)
    for (let turn = 0; turn < 2; turn += 1) await worker((trx) => expireRequest(trx, id, clock))
    expect((await database.superuser('select state from access_request where id = $1', [id])).rows).toEqual([{ state: 'expired' }])
    expect(await notices(id, 'access_request.expired')).toEqual(['sam'])
  })

  test('brings others in: they may decide from then on, and are told once', async () => {
    const policy = { ...one(), escalation: { afterMinutes: 20, approvers: [world.person('dan'), world.person('sam')] } }
    const { identityId } = await world.addIdentity(policy)
    const id = await world.open(identityId, 30)
    expect(await code(world.decide(id, 'dan', 'approve'))).toBe('forbidden')
    await worker((trx) => escalateRequest(trx, id, clock))
    expect(await notices(id, 'access_request.escalated')).toEqual([])
    await world.pass(20 * minute)
    for (let turn = 0; turn < 2; turn += 1) await worker((trx) => escalateRequest(trx, id, clock))
    expect(await notices(id, 'access_request.escalated')).toEqual(['dan'])
    await world.decide(id, 'dan', 'approve')
    expect((await world.checkOut(identityId, id, 30)).lease.state).toBe('active')
  })

  test('escalates nothing where no escalation is due: the workflow waits for the end alone', async () => {
    const { identityId } = await world.addIdentity(one())
    const id = await world.open(identityId, 30)
    expect(await worker((trx) => readAccessRequestFacts(trx, id))).toMatchObject({ state: 'pending', escalationMs: null })
  })

  test('of a window is kept at the checkout, and the lease ends with it', async () => {
    const { rows } = await database.superuser(`select app_clock($1) at time zone 'UTC' as now, to_char(app_clock($1) at time zone 'UTC', 'HH24:MI') as time`, [
      world.account.id,
    ])
    const time: string = rows[0].time
    const [from, to] = time < '12:00' ? ['12:00', '24:00'] : ['00:00', '12:00']
    const days = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const
    const { identityId } = await world.addIdentity({ ...one(), validityMinutes: 1_440, windows: [{ days: [...days], from, to, timeZone: 'UTC' }] })
    const id = await world.open(identityId, 1_440)
    await world.decide(id, 'ann', 'approve')
    const refused = await world.checkOut(identityId, id, 1_440).catch((error: { code: string; facts: { until: string } }) => error)
    expect(refused).toMatchObject({ code: 'outside-time-window', facts: { until: expect.stringMatching(/T(00|12):00:00.000Z$/) } })
    await world.pass(12 * 60 * minute)
    const { lease } = await world.checkOut(identityId, id, 1_440)
    expect(lease.expiresAt).toMatch(/T(00|12):00:00.000Z$/)
    await world.pass(24 * 60 * minute)
  })
})

describe('people are told', () => {
  test('of a step when it is their turn, and the requester of the end', async () => {
    const { identityId } = await world.addIdentity({
      steps: [
        { approvers: [world.person('cat')], needed: 1 },
        { approvers: group(), needed: 1 },
      ],
    })
    const id = await world.open(identityId, 30)
    expect(await notices(id, 'access_request.opened')).toEqual(['cat'])
    await world.decide(id, 'cat', 'approve')
    expect(await notices(id, 'access_request.opened')).toEqual(['ann', 'bob', 'cat'])
    await world.decide(id, 'bob', 'approve')
    expect(await notices(id, 'access_request.approved')).toEqual(['sam'])
    await world.decide(id, 'ann', 'deny')
    expect(await notices(id, 'access_request.denied')).toEqual(['sam'])
    expect(await code(world.checkOut(identityId, id, 30))).toBe('access-request-closed')
  })
})

import fc from 'fast-check'
import { expect } from 'vitest'
import type { AccessRequestId } from '#schemas/ids.ts'
import { cancelAccessRequest } from '#store/close-access-request.ts'
import { changeAccessRequest } from '#store/change-access-request.ts'
import { changeApprovalPolicy } from '#store/approval-policy.ts'
import { endLease } from '#store/release-lease.ts'
import {
  eligible,
  expectedCheckout,
  expectedDecision,
  reachable,
  requester,
  standing,
  stepOf,
  type Model,
  type ModelRequest,
  type Real,
} from './approval-model.ts'
import { names, type Name } from './approval-world.ts'

type Command = fc.AsyncCommand<Model, Real>

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'done',
    (error: { code?: string }) => error.code ?? `threw ${String(error)}`,
  )
const minute = 60_000

/** One event, with its name for the report of a failing sequence. */
function command(name: string, run: (model: Model, real: Real) => Promise<void>): Command {
  return { check: () => true, run, toString: () => name }
}

/** Mostly one that is not over yet; undefined: there is none. */
function pick({ requests }: Model, index: number): ModelRequest | undefined {
  const live = requests.filter((request) => !request.over && !request.expired)
  const of = live.length > 0 && index < 2 ? live : requests
  return of[index % Math.max(1, of.length)]
}

/** On the request with this number, if there is one. */
const onRequest = (name: string, index: number, run: (request: ModelRequest, model: Model, real: Real) => Promise<void>): Command =>
  command(`${name} #${index}`, async (model, real) => {
    const request = pick(model, index)
    if (request !== undefined) await run(request, model, real)
    await holds(model, real)
  })

const open = (minutes: number): Command =>
  command(`open ${minutes}`, async (model, real) => {
    let id: AccessRequestId | undefined
    const said = await codeOf(real.world.open(real.identityId, minutes).then((made) => (id = made)))
    const asksAlready = model.requests.some((request) => !request.over && !request.expired)
    expect(said).toBe(asksAlready ? 'access-request-open' : reachable(model) ? 'done' : 'quorum-unreachable')
    if (said === 'done') real.seen['open'] = (real.seen['open'] ?? 0) + 1
    if (id !== undefined) model.requests.push({ id, version: 1, minutes, approvals: [], over: false, expired: false, approved: false, leases: 0 })
  })

const decide = (index: number, who: Name, verdict: 'approve' | 'deny', clicks: number): Command =>
  onRequest(`${who} says ${verdict} ${clicks} times`, index, (request, model, real) => say(request, model, real, { who, verdict, clicks }))

/** Somebody whose turn it is agrees: chance alone completes few requests. */
const agree = (index: number, turn: number, clicks: number): Command =>
  onRequest(`approver ${turn} agrees`, index, async (request, model, real) => {
    const { escalated } = await real.world.read(request.id)
    const { given, current } = standing(model, request, escalated)
    const step = model.policy.steps[current]
    const people = step === undefined ? [] : [...eligible(model, step, escalated)].filter((person) => !given.some((counted) => counted.has(person)))
    const willing = people[turn % Math.max(1, people.length)]
    if (willing !== undefined) await say(request, model, real, { who: willing, verdict: 'approve', clicks })
  })

async function say(
  request: ModelRequest,
  model: Model,
  { world, seen }: Real,
  { who, verdict, clicks }: { readonly who: Name; readonly verdict: 'approve' | 'deny'; readonly clicks: number },
): Promise<void> {
  const stored = await world.read(request.id)
  const expected = expectedDecision(model, request, stored, who, verdict)
  const step = stepOf(model, request, stored.escalated, who)
  const clicked = Array.from({ length: clicks }, (_, click) => codeOf(world.decide(request.id, who, verdict, undefined, click % 2)))
  // Of two denials the second one comes too late.
  const allowed = verdict === 'deny' && expected === 'done' ? ['done', 'access-request-closed'] : [expected]
  for (const said of await Promise.all(clicked)) expect([who, verdict, allowed]).toEqual([who, verdict, expect.arrayContaining([said])])
  if (expected !== 'done') return
  if (verdict === 'deny') request.over = true
  else accept(model, request, { who, step, escalated: stored.escalated })
  seen[verdict] = (seen[verdict] ?? 0) + 1
}

function accept(
  model: Model,
  request: ModelRequest,
  { who, step, escalated }: { readonly who: Name; readonly step: number; readonly escalated: boolean },
): void {
  const { version } = request
  const { policyVersion } = model
  const again = request.approvals.some((made) => made.who === who && made.version === version && made.policyVersion === policyVersion)
  if (!again) request.approvals.push({ who, step, version, policyVersion })
  if (standing(model, request, escalated).current === -1) request.approved = true
}

const checkOut = (index: number | 'approved' | null, minutes: number, times: number): Command =>
  command(`check out ${minutes} by #${index} ${times} times`, async (model, real) => {
    const approved = () => model.requests.find((made) => made.approved && !made.over)
    const request = index === null ? undefined : index === 'approved' ? approved() : pick(model, index)
    await take(request, model, real, { minutes, times })
  })

async function take(
  request: ModelRequest | undefined,
  model: Model,
  real: Real,
  { minutes, times }: { readonly minutes: number; readonly times: number },
): Promise<void> {
  const { world, identityId, seen } = real
  const stored = request && (await world.read(request.id))
  const expected = expectedCheckout(model, request, stored, minutes)
  const tries = await Promise.all(
    Array.from({ length: times }, async (_, turn) => {
      const answer = world.checkOut(identityId, request?.id ?? null, minutes, turn % 2)
      return { said: await codeOf(answer), lease: (await answer.catch(() => undefined))?.lease }
    }),
  )
  const won = tries.filter(({ said }) => said === 'done')
  expect([expected, won.length]).toEqual([expected, expected === 'done' ? 1 : 0])
  if (expected === 'approvals-missing' && request?.approved === true) seen['lost'] = (seen['lost'] ?? 0) + 1
  if (expected !== 'done') for (const { said } of tries) expect(said).toBe(expected)
  if (won[0]?.lease === undefined || request === undefined) return
  const { startedAt, expiresAt } = won[0].lease
  expect(Date.parse(expiresAt) - Date.parse(startedAt)).toBeLessThanOrEqual(request.minutes * minute)
  request.over = true
  request.leases += 1
  model.taken = true
  seen['checkout'] = (seen['checkout'] ?? 0) + 1
  await holds(model, real)
}

const edit = (index: number, minutes: number): Command =>
  onRequest(`edit to ${minutes}`, index, async (request, model, { world }) => {
    const { state } = await world.read(request.id)
    const { userId, actor } = world.account.people[requester]
    const said = await codeOf(world.account.run((trx) => changeAccessRequest(trx, { id: request.id, userId, actor, minutes })))
    const isOver = request.over || state === 'expired'
    expect(said).toBe(isOver ? 'access-request-closed' : reachable(model) ? 'done' : 'quorum-unreachable')
    if (said === 'done') Object.assign(request, { version: request.version + 1, minutes, approved: false })
  })

const cancel = (index: number): Command =>
  onRequest('cancel', index, async (request, _, { world }) => {
    const { state } = await world.read(request.id)
    const { userId, actor } = world.account.people[requester]
    const said = await codeOf(world.account.run((trx) => cancelAccessRequest(trx, request.id, userId, actor)))
    expect(said).toBe((request.over || state === 'expired') && state !== 'cancelled' ? 'access-request-closed' : 'done')
    if (said === 'done') request.over = true
  })

/** Approval against cancel, from two replicas: whichever comes first, a cancelled request is over. */
const race = (index: number, who: Name): Command =>
  onRequest(`${who} approves while it is cancelled`, index, async (request, model, { world }) => {
    const stored = await world.read(request.id)
    if (request.over || stored.state === 'expired') return
    const { userId, actor } = world.account.people[requester]
    await Promise.all([
      codeOf(world.decide(request.id, who, 'approve', undefined, 1)),
      world.account.run((trx) => cancelAccessRequest(trx, request.id, userId, actor)),
    ])
    request.over = true
    expect((await world.read(request.id)).state).toBe('cancelled')
    void model
  })

/** Just before its last moment, so that what is asked then happens before, at and after it. */
const lastMoment = (index: number, who: Name): Command =>
  onRequest(`${who} approves and it is checked out at its last moment`, index, async (request, model, real) => {
    const { world, identityId, seen } = real
    const stored = await world.read(request.id)
    if (request.over || stored.state === 'expired' || model.taken) return
    const enough = expectedCheckout(model, request, stored, request.minutes) === 'done'
    const { rows } = await world.database.superuser('select extract(epoch from $2::timestamptz - app_clock($1)) * 1000 as left', [
      world.account.id,
      stored.expiresAt,
    ])
    await world.pass(Number(rows[0].left) - 3)
    const said = await Promise.all(
      [0, 1, 2, 3].map(async (turn) => {
        await new Promise((resolve) => setTimeout(resolve, turn))
        return turn % 2 === 0
          ? codeOf(world.checkOut(identityId, request.id, request.minutes, turn % 2))
          : codeOf(world.decide(request.id, who, 'approve', undefined, 1))
      }),
    )
    const after = await world.read(request.id)
    const won = [said[0], said[2]].filter((code) => code === 'done').length
    // Whether it was in time is the clock's to say; an approval that came in time may have been the last one that was needed.
    if (won > 0) seen['last moment'] = (seen['last moment'] ?? 0) + 1
    const inTime = said[1] === 'done' || said[3] === 'done'
    if (inTime) accept(model, request, { who, step: stepOf(model, request, after.escalated, who), escalated: after.escalated })
    if (won > 0) expect([won, enough || (inTime && standing(model, request, after.escalated).current === -1)]).toEqual([1, true])
    if (won > 0) Object.assign(request, { over: true, leases: request.leases + 1 })
    if (won > 0) model.taken = true
    // Far enough that what was opened a moment later is over too: no event must depend on how fast the machine is.
    await pastTime(model, real, minute)
  })

const setMember = (who: Name, inside: boolean): Command =>
  command(`${who} ${inside ? 'enters' : 'leaves'} the group`, async (model, { world }) => {
    await world.setMember(who, inside)
    if (inside) model.members.add(who)
    else model.members.delete(who)
  })

const setHolder = (who: Name, has: boolean): Command =>
  command(`${who} ${has ? 'gets' : 'loses'} pam_requests.approve`, async (model, { world }) => {
    await world.setHolder(who, has)
    if (has) model.holders.add(who)
    else model.holders.delete(who)
  })

/** Of what is approved and not used yet, one who agreed may approve no more; the checkout comes right after. */
const lose = (index: number, turn: number): Command =>
  onRequest(`one who agreed loses the right, and it is checked out`, index, async (request, model, real) => {
    const agreed = request.approvals.filter(({ version }) => version === request.version).map((made) => made.who)
    const who = agreed[turn % Math.max(1, agreed.length)]
    if (who === undefined) return
    if (model.members.has(who)) await setMember(who, false).run(model, real)
    if (model.holders.has(who)) await setHolder(who, false).run(model, real)
    await take(request, model, real, { minutes: 5, times: 2 })
  })

const changePolicy: Command = command('change the policy', async (model, { world, policyId }) => {
  const caller = await world.account.principal('mia')
  const { actor } = world.account.people.mia
  const said = await codeOf(world.account.run((trx) => changeApprovalPolicy(trx, { id: policyId as never, caller, actor }, { validityMinutes: 45 })))
  if (said === 'done') model.policyVersion += 1
  else expect(said).toBe('quorum-unreachable')
})

const pass = (minutes: number): Command =>
  command(`${minutes} minutes pass`, async (model, real) => {
    await pastTime(model, real, minutes * minute)
    if (model.taken) await checkIn(model, real)
  })

async function pastTime({ requests }: Model, { world }: Real, ms: number): Promise<void> {
  await world.pass(ms)
  for (const request of requests) request.expired = (await world.read(request.id)).state === 'expired'
}

/** Time has passed: whoever has it gives it back, so that the sequence goes on. */
async function checkIn(model: Model, { world, identityId }: Real): Promise<void> {
  const { rows } = await world.database.superuser(`select id from lease where identity_id = $1 and state = 'active'`, [identityId])
  const { actor } = world.account.people[requester]
  for (const { id } of rows) await world.account.run((trx) => endLease(trx, identityId, { leaseId: id, cause: 'checked_in', actor }))
  model.taken = false
}

/** No request has more than one lease, and every lease has a request: in the rows, whatever the answers were. */
async function holds(model: Model, { world, identityId }: Real): Promise<void> {
  const { rows } = await world.database.superuser('select request_id, count(*)::int as leases from lease where identity_id = $1 group by 1', [identityId])
  const known = new Map(model.requests.map((request) => [request.id as string, request.leases]))
  for (const { request_id: id, leases } of rows) expect([id, leases]).toEqual([expect.any(String), known.get(id)])
}

const who = fc.constantFrom(...names)
const index = fc.constantFrom(0, 0, 0, 0, 1, 2)
const minutes = fc.constantFrom(5, 30, 60)
const clicks = fc.integer({ min: 1, max: 3 })
const verdict = fc.constantFrom<('approve' | 'deny')[]>('approve', 'approve', 'approve', 'deny')
const member = fc.tuple(fc.constantFrom<Name>('ann', 'bob', 'cat', 'sam'), fc.constantFrom(true, true, false))

/** Every event that the model knows; those that lead to a checkout come more often than those that end a request. */
const events: readonly [weight: number, event: fc.Arbitrary<Command>][] = [
  [4, minutes.map(open)],
  [14, fc.tuple(index, fc.nat({ max: 3 }), clicks).map((args) => agree(...args))],
  [4, fc.tuple(index, who, verdict, clicks).map((args) => decide(...args))],
  [8, fc.tuple(fc.constantFrom(5, 5, 30), clicks).map((args) => checkOut('approved', ...args))],
  [6, fc.tuple(fc.option(index, { freq: 6 }), fc.constantFrom(5, 5, 5, 30, 60), clicks).map((args) => checkOut(...args))],
  [2, fc.tuple(index, minutes).map((args) => edit(...args))],
  [1, index.map(cancel)],
  [1, fc.tuple(index, who).map((args) => race(...args))],
  [2, fc.tuple(index, who).map((args) => lastMoment(...args))],
  [5, fc.tuple(index, fc.nat({ max: 3 })).map((args) => lose(...args))],
  [3, member.map((args) => setMember(...args))],
  [2, fc.tuple(fc.constantFrom<Name>('cat', 'sam'), fc.constantFrom(true, true, false)).map((args) => setHolder(...args))],
  [1, fc.constant(changePolicy)],
  [3, fc.constantFrom(1.1, 1.1, 21.3, 31.7, 61).map(pass)],
]

export const approvalSequences = fc.array(fc.oneof(...events.map(([weight, arbitrary]) => ({ weight, arbitrary }))), {
  minLength: 20,
  maxLength: 40,
  size: 'max',
})

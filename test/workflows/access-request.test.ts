import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AccessRequestActivities } from '#activities/access-request.ts'
import type { AccessRequestFacts } from '#schemas/access-request-facts.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { Subject } from '#workflows/messages.ts'
import { minute } from './facts.ts'
import { createClock, createLab, until, type Lab } from './lab.ts'

const day = 1_440 * minute

/** Requests in memory, as their rows would be; the deciding transactions are the store's. */
interface Row {
  readonly facts: AccessRequestFacts
  readonly escalatesAt: number | null
}
const clock = createClock()
const rows = new Map<string, Row>()
const looks = new Map<string, number>()
let failures = 0
const of = ({ subjectId }: Subject): Row => rows.get(subjectId) ?? expect.unreachable('no such request')
const change = (subject: Subject, facts: Partial<AccessRequestFacts>, more: Partial<Row> = {}): void =>
  void rows.set(subject.subjectId, { ...of(subject), ...more, facts: { ...of(subject).facts, ...facts } })

const left = (at: number): number => Math.max(0, at - clock.now())
const activities: AccessRequestActivities = {
  lookAtAccessRequest: async (subject) => {
    looks.set(subject.subjectId, (looks.get(subject.subjectId) ?? 0) + 1)
    if (failures > 0) {
      failures -= 1
      throw new LeaseholdError('dependency-unavailable', { role: 'postgres' })
    }
    const { facts, escalatesAt } = of(subject)
    return {
      ...facts,
      remainingMs: left(Date.parse(facts.expiresAt)),
      escalationMs: escalatesAt === null || facts.state !== 'pending' ? null : left(escalatesAt),
    }
  },
  escalateAccessRequest: async (subject) => change(subject, {}, { escalatesAt: null }),
  expireAccessRequest: async (subject) => {
    if (Date.parse(of(subject).facts.expiresAt) <= clock.now()) change(subject, { state: 'expired' })
  },
}

let lab: Lab
beforeAll(async () => {
  lab = await createLab(activities)
}, 60_000)
afterAll(() => lab.stop())

async function open(minutes: number, escalatesIn: number | null = null): Promise<{ readonly subject: Subject; readonly id: string }> {
  const subject = { accountId: randomUUID(), subjectId: randomUUID() }
  const [openedAt, expiresAt] = [clock.now(), clock.now() + minutes * minute].map((at) => new Date(at).toISOString())
  const facts = { vaultId: randomUUID(), identityId: randomUUID(), state: 'pending', version: 1, openedAt, expiresAt, remainingMs: 0, escalationMs: null }
  rows.set(subject.subjectId, { facts: facts as never, escalatesAt: escalatesIn === null ? null : clock.now() + escalatesIn * minute })
  const id = await lab.poke('access_request', subject)
  await until(() => (looks.get(subject.subjectId) ?? 0) > 0)
  return { subject, id }
}
const until14 = 14 * day

describe('the workflow of an access request', () => {
  test('lets a request that nobody decides on expire after 14 days, at its minute and not before', async () => {
    const { subject, id } = await open(until14 / minute)
    for (let passed = 0; passed < 13; passed += 1) {
      await lab.pass(id, clock, day)
      expect(of(subject).facts.state).toBe('pending')
    }
    await lab.pass(id, clock, day - minute)
    expect(of(subject).facts.state).toBe('pending')
    await lab.pass(id, clock, minute)
    expect(await lab.ended(id)).toBe('COMPLETED')
    await until(() => of(subject).facts.state === 'expired')
    await lab.record('access-request-expired', id)
  }, 120_000)

  test('asks others when it is time, once, and goes on', async () => {
    const { subject, id } = await open(60, 20)
    await lab.pass(id, clock, 19 * minute)
    expect(of(subject).escalatesAt).not.toBeNull()
    await lab.pass(id, clock, minute)
    await until(() => of(subject).escalatesAt === null)
    change(subject, { state: 'denied' })
    await lab.poke('access_request', subject)
    expect(await lab.ended(id)).toBe('COMPLETED')
    await lab.record('access-request-escalated-denied', id)
  }, 60_000)

  test('stays with an approved request until it is used', async () => {
    const { subject, id } = await open(60)
    change(subject, { state: 'approved', expiresAt: new Date(clock.now() + 480 * minute).toISOString() })
    await lab.poke('access_request', subject)
    await lab.pass(id, clock, 90 * minute)
    expect(of(subject).facts.state).toBe('approved')
    change(subject, { state: 'used' })
    await lab.poke('access_request', subject)
    expect(await lab.ended(id)).toBe('COMPLETED')
    await lab.record('access-request-used', id)
  }, 60_000)

  test('lets an approval that is not used expire', async () => {
    const { subject, id } = await open(60)
    change(subject, { state: 'approved', expiresAt: new Date(clock.now() + 120 * minute).toISOString() })
    await lab.poke('access_request', subject)
    await until(() => (looks.get(subject.subjectId) ?? 0) > 1)
    await lab.pass(id, clock, 120 * minute)
    await until(() => of(subject).facts.state === 'expired')
    expect(await lab.ended(id)).toBe('COMPLETED')
    await lab.record('access-request-approval-expired', id)
  }, 60_000)

  test('waits for the time of an edited request, not for the one before', async () => {
    const { subject, id } = await open(30)
    change(subject, { version: 2, expiresAt: new Date(clock.now() + 90 * minute).toISOString() })
    await lab.pass(id, clock, 45 * minute)
    expect(of(subject).facts.state).toBe('pending')
    change(subject, { state: 'cancelled' })
    await lab.poke('access_request', subject)
    expect(await lab.ended(id)).toBe('COMPLETED')
    await lab.record('access-request-edited-cancelled', id)
  }, 60_000)

  test('goes on when PostgreSQL was away', async () => {
    failures = 3
    const { subject, id } = await open(30)
    change(subject, { state: 'cancelled' })
    await lab.poke('access_request', subject)
    expect(await lab.ended(id)).toBe('COMPLETED')
    await lab.record('access-request-database-down', id)
  }, 60_000)
})

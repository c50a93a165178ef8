import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { SupportAccessActivities } from '#activities/support-access.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { nextReminder } from '#schemas/rules/support-access.ts'
import type { SupportAccessFacts } from '#schemas/support-access-facts.ts'
import { idleLook } from '#workflows/lease-step.ts'
import type { Subject } from '#workflows/messages.ts'
import { nextSupportAccessStep } from '#workflows/support-access-step.ts'
import { minute } from './facts.ts'
import { createClock, createLab, until, type Lab } from './lab.ts'

const day = 1_440 * minute

describe('the next step of a support window', () => {
  const facts = (fields: Partial<SupportAccessFacts> = {}): SupportAccessFacts => ({
    windowId: 'w',
    state: 'open',
    endCause: null,
    version: 3,
    remainingMs: 10 * minute,
    reminderInMs: null,
    ...fields,
  })

  test.each<[string, Partial<SupportAccessFacts>, object]>([
    ['an ended window is finished', { state: 'ended', endCause: 'emergency' }, { do: 'finish' }],
    ['a due window is ended in the version that was waited for', { remainingMs: 0 }, { do: 'expire', version: 3 }],
    ['the end comes before a reminder', { remainingMs: 0, reminderInMs: 0 }, { do: 'expire', version: 3 }],
    ['a due reminder is sent', { remainingMs: null, reminderInMs: 0 }, { do: 'remind' }],
    ['the nearer of both is waited for', { remainingMs: 5 * minute, reminderInMs: 2 * minute }, { do: 'wait', ms: 2 * minute }],
    ['a window without either is looked at daily', { remainingMs: null }, { do: 'wait', ms: idleLook }],
  ])('%s', (_, fields, step) => {
    expect(nextSupportAccessStep(facts(fields))).toEqual(step)
  })

  test('reminders come a day before the end, every 30 days where there is none, and never after the end', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 400 }), (days) => {
        const now = new Date('2027-01-01T00:00:00.000Z')
        const end = new Date(now.getTime() + days * day)
        const reminder = nextReminder(now, end)
        expect(reminder).toEqual(days > 1 ? new Date(end.getTime() - day) : null)
      }),
    )
    expect(nextReminder(new Date(0), null)).toEqual(new Date(30 * day))
  })
})

/** Windows in memory, with the rules of their rows that the workflow depends on. */
interface Window {
  state: 'open' | 'ended'
  endCause: SupportAccessFacts['endCause']
  version: number
  expiresAt: number | null
  remindAt: number | null
  readonly reminders: number[]
  endedAt: number | null
}

const clock = createClock()
const windows = new Map<string, Window>()
let looks = 0
let failures = 0

function open(days: number | null): { readonly subject: Subject; readonly window: Window } {
  const subject = { accountId: randomUUID(), subjectId: randomUUID() }
  const expiresAt = days === null ? null : clock.now() + days * day
  const remindAt = nextReminder(new Date(clock.now()), expiresAt === null ? null : new Date(expiresAt))?.getTime() ?? null
  const window: Window = { state: 'open', endCause: null, version: 1, expiresAt, remindAt, reminders: [], endedAt: null }
  windows.set(subject.subjectId, window)
  return { subject, window }
}
const of = ({ subjectId }: Subject): Window => {
  const found = windows.get(subjectId)
  if (found === undefined) throw new LeaseholdError('not-found')
  return found
}
const left = (at: number | null) => (at === null ? null : Math.max(0, Math.ceil(at - clock.now())))

const activities: SupportAccessActivities = {
  lookAtSupportAccess: async (subject) => {
    looks += 1
    if (failures > 0) {
      failures -= 1
      throw new LeaseholdError('dependency-unavailable', { role: 'postgres' })
    }
    const { state, endCause, version, expiresAt, remindAt } = of(subject)
    return { windowId: subject.subjectId, state, endCause, version, remainingMs: left(expiresAt), reminderInMs: left(remindAt) }
  },
  remindOfSupportAccess: async (subject) => {
    const window = of(subject)
    if (window.state !== 'open' || window.remindAt === null || window.remindAt > clock.now()) return
    window.reminders.push(clock.now())
    window.remindAt = nextReminder(new Date(clock.now()), window.expiresAt === null ? null : new Date(window.expiresAt))?.getTime() ?? null
  },
  expireSupportAccess: async (subject, version) => {
    const window = of(subject)
    if (window.state === 'open' && window.version === version && left(window.expiresAt) === 0)
      Object.assign(window, { state: 'ended', endCause: 'expired', endedAt: clock.now(), version: version + 1 })
  },
}

let lab: Lab
beforeAll(async () => {
  lab = await createLab(activities)
}, 60_000)
afterAll(() => lab?.stop())

/** In steps, because a window is looked at daily: each look takes its time. */
async function passDays(id: string, days: number): Promise<void> {
  for (let passed = 0; passed < days; passed += 7) await lab.pass(id, clock, Math.min(7, days - passed) * day)
}

describe('the workflow of a support window', () => {
  test('lets 365 days pass: a reminder the day before, the end on its day and not before', async () => {
    const began = clock.now()
    const { subject, window } = open(365)
    const id = await lab.poke('support_access', subject)
    await until(() => looks > 0)
    for (let days = 0; days < 364; days += 28) {
      expect([window.state, window.reminders]).toEqual(['open', []])
      await passDays(id, 28)
    }
    // 364 days are over, and so is the reminder's hour.
    await until(() => window.reminders.length === 1)
    expect(window.state).toBe('open')
    await lab.pass(id, clock, day)
    expect(await lab.ended(id)).toBe('COMPLETED')
    expect(window).toMatchObject({ state: 'ended', endCause: 'expired' })
    expect((window.endedAt ?? 0) - began).toBeGreaterThanOrEqual(365 * day)
    expect((window.endedAt ?? 0) - began).toBeLessThan(365 * day + 5 * minute)
    await lab.record('support-access-year', id)
  }, 300_000)

  test('reminds every 30 days of a window without an end, until it is disabled', async () => {
    const { subject, window } = open(null)
    const id = await lab.poke('support_access', subject)
    for (const count of [1, 2, 3]) {
      await passDays(id, 30)
      await lab.pass(id, clock, minute)
      await until(() => window.reminders.length === count)
    }
    Object.assign(window, { state: 'ended', endCause: 'disabled' })
    await lab.poke('support_access', subject)
    expect(await lab.ended(id)).toBe('COMPLETED')
    await lab.record('support-access-reminded', id)
  }, 120_000)

  test('follows a change of the end, and is over at an emergency', async () => {
    const { subject, window } = open(1)
    const id = await lab.poke('support_access', subject)
    const before = looks
    await until(() => looks > before)
    Object.assign(window, { version: 2, expiresAt: clock.now() + 10 * day })
    await lab.poke('support_access', subject)
    await passDays(id, 2)
    expect(window.state).toBe('open')
    Object.assign(window, { state: 'ended', endCause: 'emergency' })
    await lab.poke('support_access', subject)
    expect(await lab.ended(id)).toBe('COMPLETED')
    await lab.record('support-access-emergency', id)
  }, 60_000)

  test('looks again until PostgreSQL answers', async () => {
    const { subject, window } = open(1)
    Object.assign(window, { state: 'ended', endCause: 'disabled' })
    failures = 3
    const id = await lab.poke('support_access', subject)
    expect(await lab.ended(id)).toBe('COMPLETED')
    await lab.record('support-access-database-down', id)
  }, 30_000)
})

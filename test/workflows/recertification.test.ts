import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RecertificationActivities } from '#activities/recertification.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { RecertificationFacts } from '#schemas/recertification-facts.ts'
import { reminderAt } from '#schemas/rules/recertification.ts'
import type { RecertificationState } from '#schemas/states.ts'
import { idleLook } from '#workflows/lease-step.ts'
import type { Subject } from '#workflows/messages.ts'
import { nextRecertificationStep } from '#workflows/recertification-step.ts'
import { minute } from './facts.ts'
import { createClock, createLab, until, type Lab } from './lab.ts'

const day = 1_440 * minute

describe('the next step of a recertification', () => {
  const facts = (fields: Partial<RecertificationFacts> = {}): RecertificationFacts => ({
    recertificationId: 'r',
    state: 'open',
    remainingMs: 10 * minute,
    reminderInMs: null,
    ...fields,
  })

  test.each<[string, Partial<RecertificationFacts>, object]>([
    ['one that has ended is finished', { state: 'ended', remainingMs: 0 }, { do: 'finish' }],
    ['one that was cancelled is finished', { state: 'cancelled' }, { do: 'finish' }],
    ['one whose time is over is settled', { remainingMs: 0 }, { do: 'settle' }],
    ['the end comes before a reminder', { remainingMs: 0, reminderInMs: 0 }, { do: 'settle' }],
    ['a due reminder is sent', { reminderInMs: 0 }, { do: 'remind' }],
    ['the nearer of both is waited for', { remainingMs: 5 * minute, reminderInMs: 2 * minute }, { do: 'wait', ms: 2 * minute }],
    ['behind the reminder the end is waited for', { remainingMs: 5 * minute }, { do: 'wait', ms: 5 * minute }],
    ['a far end is looked at daily', { remainingMs: 30 * day, reminderInMs: 29 * day }, { do: 'wait', ms: idleLook }],
  ])('%s', (_, fields, step) => {
    expect(nextRecertificationStep(facts(fields))).toEqual(step)
  })
})

/** Campaigns in memory, with the rules of their rows that the workflow depends on. */
interface Campaign {
  state: RecertificationState
  readonly dueAt: number
  remindAt: number | null
  open: number
  readonly reminders: number[]
  readonly batches: number[]
  endedAt: number | null
}

const batch = 50
const clock = createClock()
const campaigns = new Map<string, Campaign>()
let looks = 0
let failures = 0

function open(days: number, items: number): { readonly subject: Subject; readonly campaign: Campaign } {
  const subject = { accountId: randomUUID(), subjectId: randomUUID() }
  const dueAt = clock.now() + days * day
  const remindAt = reminderAt(new Date(clock.now()), new Date(dueAt)).getTime()
  const campaign: Campaign = { state: 'open', dueAt, remindAt, open: items, reminders: [], batches: [], endedAt: null }
  campaigns.set(subject.subjectId, campaign)
  return { subject, campaign }
}
const of = ({ subjectId }: Subject): Campaign => {
  const found = campaigns.get(subjectId)
  if (found === undefined) throw new LeaseholdError('not-found')
  return found
}
const left = (at: number) => Math.max(0, Math.ceil(at - clock.now()))
const fail = () => {
  if (failures === 0) return
  failures -= 1
  throw new LeaseholdError('dependency-unavailable', { role: 'postgres' })
}

const activities: RecertificationActivities = {
  lookAtRecertification: async (subject) => {
    looks += 1
    fail()
    const { state, dueAt, remindAt } = of(subject)
    return { recertificationId: subject.subjectId, state, remainingMs: left(dueAt), reminderInMs: remindAt === null ? null : left(remindAt) }
  },
  remindOfRecertification: async (subject) => {
    const campaign = of(subject)
    if (campaign.state !== 'open' || campaign.remindAt === null || campaign.remindAt > clock.now()) return
    campaign.reminders.push(clock.now())
    campaign.remindAt = null
  },
  settleRecertification: async (subject) => {
    fail()
    const campaign = of(subject)
    if (campaign.state !== 'open' || left(campaign.dueAt) > 0) return
    const settled = Math.min(batch, campaign.open)
    campaign.batches.push(settled)
    campaign.open -= settled
    if (campaign.open === 0) Object.assign(campaign, { state: 'ended', endedAt: clock.now() })
  },
}

let lab: Lab
beforeAll(async () => {
  lab = await createLab(activities)
}, 60_000)
afterAll(() => lab?.stop())

describe('the workflow of a recertification', () => {
  test('lets 14 days pass: a reminder the day before, what is open settled in batches on its day and not before', async () => {
    const began = clock.now()
    const { subject, campaign } = open(14, 120)
    const id = await lab.poke('recertification', subject)
    await until(() => looks > 0)
    for (let days = 0; days < 12; days += 4) {
      expect([campaign.state, campaign.reminders]).toEqual(['open', []])
      await lab.pass(id, clock, 4 * day)
    }
    expect([campaign.state, campaign.reminders]).toEqual(['open', []])
    await lab.pass(id, clock, day + minute)
    await until(() => campaign.reminders.length === 1)
    expect(campaign.batches).toEqual([])
    await lab.pass(id, clock, day)
    expect(await lab.ended(id)).toBe('COMPLETED')
    expect(campaign).toMatchObject({ state: 'ended', open: 0, batches: [50, 50, 20] })
    expect(campaign.reminders).toHaveLength(1)
    expect((campaign.endedAt ?? 0) - began).toBeGreaterThanOrEqual(14 * day)
    expect((campaign.endedAt ?? 0) - began).toBeLessThan(14 * day + 5 * minute)
    await lab.record('recertification-fortnight', id)
  }, 120_000)

  test('is over when somebody cancels it, with nothing settled', async () => {
    const { subject, campaign } = open(2, 3)
    const id = await lab.poke('recertification', subject)
    const before = looks
    await until(() => looks > before)
    campaign.state = 'cancelled'
    await lab.poke('recertification', subject)
    expect(await lab.ended(id)).toBe('COMPLETED')
    expect([campaign.open, campaign.batches, campaign.reminders]).toEqual([3, [], []])
    await lab.record('recertification-cancelled', id)
  }, 60_000)

  test('looks, and settles, again until PostgreSQL answers', async () => {
    const { subject, campaign } = open(0, 1)
    failures = 3
    const id = await lab.poke('recertification', subject)
    expect(await lab.ended(id)).toBe('COMPLETED')
    expect(campaign.batches).toEqual([1])
    await lab.record('recertification-database-down', id)
  }, 30_000)
})

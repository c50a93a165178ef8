import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { BreakGlassReviewFacts } from '#schemas/break-glass-facts.ts'
import { remindEvery } from '#schemas/rules/break-glass.ts'
import type { Subject } from '#workflows/messages.ts'
import { nextBreakGlassReviewStep, type BreakGlassReviewStep } from '#workflows/break-glass-review-step.ts'
import { idleLook } from '#workflows/lease-step.ts'
import { createClock, createLab, until, type Lab } from './lab.ts'

const day = 86_400_000
const facts = (fields: Partial<BreakGlassReviewFacts> = {}): BreakGlassReviewFacts =>
  ({
    reviewId: randomUUID(),
    organizationId: randomUUID(),
    vaultId: randomUUID(),
    identityId: randomUUID(),
    state: 'open',
    reminders: 0,
    nextReminderInMs: day,
    ...fields,
  }) as BreakGlassReviewFacts

describe('the next step of a review', () => {
  test.each<[promise: string, facts: Partial<BreakGlassReviewFacts>, step: BreakGlassReviewStep]>([
    ['an open one waits for its reminder', { nextReminderInMs: 5_000 }, { do: 'wait', ms: 5_000 }],
    ['it looks once a day, in case a poke was lost', { nextReminderInMs: 3 * day }, { do: 'wait', ms: idleLook }],
    ['one that is due in a moment is not asked for more than 20 times a second', { nextReminderInMs: 1 }, { do: 'wait', ms: 50 }],
    ['a due one is brought back to mind, in the count that was seen', { nextReminderInMs: 0, reminders: 2 }, { do: 'remind', reminders: 2 }],
    ['a signed one is finished, due or not', { state: 'signed', nextReminderInMs: -1 }, { do: 'finish' }],
  ])('%s', (_, fields, step) => {
    expect(nextBreakGlassReviewStep(facts(fields))).toEqual(step)
  })
})

/** Reviews as their rows would be; reminders are the store's. */
const clock = createClock()
const rows = new Map<string, { state: BreakGlassReviewFacts['state']; reminders: number; remindAt: number; looks: number }>()
const of = ({ subjectId }: Subject) => rows.get(subjectId) ?? expect.unreachable('no such review')

let lab: Lab
beforeAll(async () => {
  lab = await createLab({
    lookAtBreakGlassReview: async (subject) => {
      const row = of(subject)
      row.looks += 1
      return facts({ state: row.state, reminders: row.reminders, nextReminderInMs: Math.ceil(row.remindAt - clock.now()) })
    },
    remindOfBreakGlassReview: async (subject, reminders) => {
      const row = of(subject)
      if (row.reminders !== reminders || row.remindAt > clock.now()) return
      row.reminders += 1
      row.remindAt = clock.now() + remindEvery
    },
  })
}, 60_000)
afterAll(() => lab.stop())

describe('the workflow of a review', () => {
  test('reminds every day for as long as nobody signs, and is over when somebody has', async () => {
    const subject = { accountId: randomUUID(), subjectId: randomUUID() }
    rows.set(subject.subjectId, { state: 'open', reminders: 0, remindAt: clock.now() + remindEvery, looks: 0 })
    const id = await lab.poke('break_glass_review', subject)
    await until(() => of(subject).looks > 0)
    for (let days = 1; days <= 10; days += 1) {
      await lab.pass(id, clock, remindEvery)
      await until(() => of(subject).reminders === days, 20_000)
    }
    of(subject).state = 'signed'
    await lab.poke('break_glass_review', subject)
    expect(await lab.ended(id)).toBe('COMPLETED')
    expect(of(subject).reminders).toBe(10)
    await lab.record('break-glass-review-reminded', id)
  }, 60_000)

  test('that is signed at once reminds nobody', async () => {
    const subject = { accountId: randomUUID(), subjectId: randomUUID() }
    rows.set(subject.subjectId, { state: 'open', reminders: 0, remindAt: clock.now() + remindEvery, looks: 0 })
    const id = await lab.poke('break_glass_review', subject)
    await until(() => of(subject).looks > 0)
    of(subject).state = 'signed'
    await lab.poke('break_glass_review', subject)
    expect(await lab.ended(id)).toBe('COMPLETED')
    expect(of(subject).reminders).toBe(0)
    await lab.record('break-glass-review-signed', id)
  }, 30_000)
})

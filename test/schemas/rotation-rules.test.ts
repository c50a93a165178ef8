import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { JobState } from '#schemas/states.ts'
import { afterRefusal, day, maximumCandidates, nextRotationAt, retryAfterFailure, retryDelay, verdictOf } from '#schemas/rules/rotation.ts'

const due = new Date('2026-03-01T00:00:00Z')
const days = (count: number) => new Date(due.getTime() + count * day)

describe('the next date of a rotation', () => {
  test('is none without an interval', () => expect(nextRotationAt(null, due, due)).toBeNull())
  test('is counted from the confirmation for a manual one', () => expect(nextRotationAt(30, days(3), null)).toEqual(days(33)))
  test('is counted from the due date for a scheduled one, however late it was confirmed', () => expect(nextRotationAt(30, days(3), due)).toEqual(days(30)))
  test('skips the dates that were missed', () => expect(nextRotationAt(30, days(95), due)).toEqual(days(120)))

  test('is in the future, at most one interval away, and on the grid of the due date', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3650 }), fc.integer({ min: 0, max: 20_000 * 24 }), (interval, hoursLate) => {
        const confirmedAt = new Date(due.getTime() + (hoursLate * day) / 24)
        const next = nextRotationAt(interval, confirmedAt, due)?.getTime() ?? Number.NaN
        expect(next).toBeGreaterThan(confirmedAt.getTime())
        expect(next - confirmedAt.getTime()).toBeLessThanOrEqual(interval * day)
        expect((next - due.getTime()) % (interval * day)).toBe(0)
      }),
    )
  })
})

describe('the verdict on a rotation', () => {
  const verdict = (...states: JobState[]) => verdictOf(states.map((state) => ({ state })))

  test('is confirmed only when every host is', () => expect(verdict('confirmed', 'confirmed')).toBe('confirmed'))
  test('is failed when one host failed for good', () => expect(verdict('confirmed', 'failed')).toBe('failed'))
  test.each<JobState>(['waiting', 'claimed', 'doubt'])('is open while one host is %s, even beside a failed one', (state) =>
    expect(verdict('failed', state)).toBe('pending'),
  )
  test('is never confirmed without a host', () => expect(verdict()).toBe('failed'))
})

test('retries wait longer and longer, up to five minutes', () => {
  expect([1, 2, 3, 20].map(retryDelay)).toEqual([2_000, 4_000, 8_000, 300_000])
})

test('failed rotations are tried again after an hour, then ever later, and not for ever', () => {
  expect([1, 2, 6, 7].map(retryAfterFailure)).toEqual([3_600_000, 7_200_000, day, null])
})

describe('a value that a host refuses by policy', () => {
  const refused = { state: 'waiting', refuses: true } as const
  const other = (state: JobState) => ({ state, refuses: false })

  test('gives way to another one, three times at most', () => {
    expect(afterRefusal([refused, other('waiting'), other('failed')], maximumCandidates - 1)).toBe('another')
    expect(afterRefusal([refused], maximumCandidates)).toBe('give-up')
  })
  test('stays while some other host may have it', () => {
    for (const state of ['claimed', 'doubt'] as const) expect(afterRefusal([refused, other(state), other('confirmed')], 1)).toBe('wait')
  })
  test('stays for good where some other host has it', () => expect(afterRefusal([refused, other('confirmed')], 1)).toBe('give-up'))
  test('is none where nobody refused the present one', () => expect(afterRefusal([other('waiting'), other('doubt')], 9)).toBe('no-refusal'))
})

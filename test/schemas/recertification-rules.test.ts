import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { refuseDecision, reminderAt, type ItemRefusal, type ItemStanding } from '#schemas/rules/recertification.ts'

const hour = 3_600_000

describe('what a reviewer may decide', () => {
  const standing = (fields: Partial<ItemStanding> = {}): ItemStanding => ({
    state: 'open',
    isDue: false,
    isReviewer: true,
    isOwn: false,
    decision: 'open',
    ...fields,
  })

  test.each<[string, Partial<ItemStanding>, ItemRefusal | undefined, ItemRefusal | undefined]>([
    ['what is open is kept or removed', {}, undefined, undefined],
    ['what is kept can only be removed', { decision: 'keep' }, 'decided', undefined],
    ['a removal is final', { decision: 'remove' }, 'decided', 'decided'],
    ['what has ended otherwise is decided', { decision: 'gone' }, 'decided', 'decided'],
    ['what silence could not remove is decided', { decision: 'refused' }, 'decided', 'decided'],
    ['nothing in one that has ended', { state: 'ended' }, 'closed', 'closed'],
    ['nothing in one that was cancelled', { state: 'cancelled' }, 'closed', 'closed'],
    ['nothing when its time is over, whoever has written that down', { isDue: true }, 'closed', 'closed'],
    ['nothing by who is no reviewer', { isReviewer: false, isOwn: true }, 'no-reviewer', 'no-reviewer'],
    ['nothing about access of their own, not even its end', { isOwn: true }, 'own-access', 'own-access'],
    ['who it is about does not learn by the refusal what was decided', { isOwn: true, decision: 'remove' }, 'own-access', 'own-access'],
  ])('%s', (_, fields, keep, remove) => {
    expect([refuseDecision(standing(fields), 'keep'), refuseDecision(standing(fields), 'remove')]).toEqual([keep, remove])
  })
})

test('reviewers are reminded a day before the end, and never before half of the time is over', () => {
  const openedAt = new Date('2027-01-01T00:00:00.000Z')
  const at = (hours: number) => new Date(openedAt.getTime() + hours * hour)
  expect(reminderAt(openedAt, at(1))).toEqual(at(0.5))
  expect(reminderAt(openedAt, at(48))).toEqual(at(24))
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 90 * 24 }), (hours) => {
      expect(reminderAt(openedAt, at(hours))).toEqual(at(Math.max(hours / 2, hours - 24)))
    }),
  )
})

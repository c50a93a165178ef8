import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { expiryOf, extendedExpiryOf, lowestFreeSlot, maximumMinutes, minute } from '#schemas/rules/lease.ts'

const now = new Date('2026-03-01T12:00:00Z')
const inMinutes = (minutes: number) => new Date(now.getTime() + minutes * minute)
const cap = fc.option(fc.integer({ min: 1, max: 3_000 }).map(inMinutes), { nil: null })
const organizationMaximum = fc.option(fc.integer({ min: 5, max: 1440 }), { nil: null })

describe('the end of a lease', () => {
  test.each([
    ['the asked duration', 30, [null], null, 30],
    ['the end of the grant, when that is sooner', 30, [inMinutes(10)], null, 10],
    ['the soonest of several caps', 30, [inMinutes(20), inMinutes(7), null], null, 7],
    ['the maximum of the organization', 240, [null], 60, 60],
  ])('is %s', (_what, minutes, caps, maximum, expected) => {
    expect(expiryOf(now, minutes, caps, maximum)).toEqual(inMinutes(expected))
  })

  test('never outlives any cap, however often it is extended', () => {
    fc.assert(
      fc.property(
        fc.array(cap, { maxLength: 3 }),
        organizationMaximum,
        fc.integer({ min: 5, max: 1440 }),
        fc.array(fc.integer({ min: 5, max: 1440 }), { maxLength: 10 }),
        (caps, maximum, minutes, extensions) => {
          let expiresAt = expiryOf(now, minutes, caps, maximum)
          for (const extension of extensions) {
            const before = expiresAt
            expiresAt = extendedExpiryOf({ startedAt: now, expiresAt }, extension, caps, maximum)
            expect(expiresAt.getTime()).toBeGreaterThanOrEqual(before.getTime())
          }
          const latest = Math.min(inMinutes(maximum ?? maximumMinutes).getTime(), ...caps.filter((end) => end !== null).map((end) => end.getTime()))
          expect(expiresAt.getTime()).toBeLessThanOrEqual(latest)
        },
      ),
    )
  })

  test('moves by the asked minutes where nothing caps it', () => {
    expect(extendedExpiryOf({ startedAt: now, expiresAt: inMinutes(30) }, 15, [null], null)).toEqual(inMinutes(45))
  })

  test('stays where it is when a cap has become sooner than it', () => {
    expect(extendedExpiryOf({ startedAt: now, expiresAt: inMinutes(30) }, 15, [inMinutes(20)], null)).toEqual(inMinutes(30))
  })
})

test('the lowest free slot is given, and none when all are taken', () => {
  expect(lowestFreeSlot([], 1)).toBe(0)
  expect(lowestFreeSlot([0, 2], 3)).toBe(1)
  expect(lowestFreeSlot([0, 1, 2], 3)).toBeUndefined()
  // A break-glass lease may hold a slot beyond the maximum; it takes none of the others.
  expect(lowestFreeSlot([5], 1)).toBe(0)
})

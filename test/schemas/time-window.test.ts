import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { days, opennessAt, type TimeWindow } from '#schemas/rules/time-window.ts'

const office: TimeWindow = { days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '08:00', to: '18:00', timeZone: 'Europe/Berlin' }
const at = (now: string, ...windows: TimeWindow[]) => {
  const openness = opennessAt(windows, new Date(now))
  return openness.open ? `open until ${openness.until?.toISOString() ?? 'ever'}` : `closed until ${openness.opensAt?.toISOString() ?? 'ever'}`
}

describe('a time window', () => {
  test.each<[promise: string, now: string, windows: TimeWindow[], said: string]>([
    ['none means always', '2027-01-31T03:00:00Z', [], 'open until ever'],
    ['is meant in the local time of its place', '2027-01-29T07:00:00Z', [office], 'open until 2027-01-29T17:00:00.000Z'],
    ['is closed a millisecond before it opens', '2027-01-29T06:59:59.999Z', [office], 'closed until 2027-01-29T07:00:00.000Z'],
    ['is closed at the instant of its end', '2027-01-29T17:00:00Z', [office], 'closed until 2027-02-01T07:00:00.000Z'],
    ['is open a millisecond before its end', '2027-01-29T16:59:59.999Z', [office], 'open until 2027-01-29T17:00:00.000Z'],
    ['follows the summer time of its place', '2027-07-02T06:00:00Z', [office], 'open until 2027-07-02T16:00:00.000Z'],
    [
      'goes on over midnight in the next one',
      '2027-01-30T22:30:00Z',
      [
        { ...office, days: ['sat'], from: '22:00', to: '24:00', timeZone: 'UTC' },
        { ...office, days: ['sun'], from: '00:00', to: '06:00', timeZone: 'UTC' },
      ],
      'open until 2027-01-31T06:00:00.000Z',
    ],
    // Berlin, 2027-03-28: the clocks go from 02:00 to 03:00.
    [
      'that begins in an hour that the clocks leave out begins when they do',
      '2027-03-28T00:30:00Z',
      [{ ...office, days: ['sun'], from: '02:30', to: '05:00' }],
      'closed until 2027-03-28T01:30:00.000Z',
    ],
    // Berlin, 2027-10-31: the clocks go from 03:00 to 02:00.
    [
      'that ends in an hour that comes twice ends at the first of them',
      '2027-10-30T23:00:00Z',
      [{ ...office, days: ['sun'], from: '00:00', to: '02:30' }],
      'open until 2027-10-31T00:30:00.000Z',
    ],
    [
      'that takes turns with one of another place is open for as long as anybody may want',
      '2026-09-21T14:13:20Z',
      [
        { days, from: '00:00', to: '04:00', timeZone: 'UTC' },
        { days, from: '00:00', to: '20:00', timeZone: 'America/New_York' },
      ],
      'open until ever',
    ],
    [
      'across the date line has the date of its place',
      '2027-01-31T12:00:00Z',
      [{ ...office, days: ['mon'], from: '00:00', to: '24:00', timeZone: 'Pacific/Kiritimati' }],
      'open until 2027-02-01T10:00:00.000Z',
    ],
  ])('%s', (_, now, windows, said) => {
    expect(at(now, ...windows)).toBe(said)
  })

  test('is open until its end at every instant between, and closed from the end on until the next one opens', () => {
    const anyWindow = fc
      .record({
        days: fc.uniqueArray(fc.constantFrom(...days), { minLength: 1, maxLength: 7 }),
        from: fc.integer({ min: 0, max: 1_439 }),
        length: fc.integer({ min: 1, max: 1_440 }),
        timeZone: fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Australia/Lord_Howe'),
      })
      .map(({ from, length, ...rest }): TimeWindow => ({ ...rest, from: clock(from), to: clock(Math.min(1_440, from + length)) }))
    fc.assert(
      fc.property(
        fc.array(anyWindow, { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 1_790_000_000_000, max: 1_830_000_000_000 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (windows, now, part) => {
          const openness = opennessAt(windows, new Date(now))
          const lasting = openness.open && openness.until === null
          const end = lasting ? now + 9 * 86_400_000 : ((openness.open ? openness.until : openness.opensAt)?.getTime() ?? expect.unreachable())
          expect(end).toBeGreaterThan(now)
          const between = opennessAt(windows, new Date(Math.floor(now + (end - now) * part)))
          expect(between.open).toBe(openness.open)
          if (lasting) return
          expect(between).toEqual(openness)
          expect(opennessAt(windows, new Date(end)).open).toBe(!openness.open)
        },
      ),
      { numRuns: 100 },
    )
  })
})

const clock = (minutes: number): string => `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`

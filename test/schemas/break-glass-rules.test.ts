import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { HostId, RotationId } from '#schemas/ids.ts'
import { breakGlassSlot, possibleVersions, untilAllowed, usesPerMinute, useWindow } from '#schemas/rules/break-glass.ts'
import type { JobState } from '#schemas/states.ts'

const [one, two] = ['h1', 'h2'] as HostId[] as [HostId, HostId]
const on = (hostId: HostId, knownVersion: number) => ({ hostId, knownVersion })
const rotation = (stagedVersion: number | null, ...jobs: [HostId, JobState][]) => ({
  id: 'r' as RotationId,
  stagedVersion,
  jobs: jobs.map(([hostId, state]) => ({ hostId, state })),
})
type Case = [promise: string, state: Parameters<typeof possibleVersions>[0], hostId: HostId | null, shown: string[]]

describe('what may log in', () => {
  test.each<Case>([
    ['is the one version, without hosts too', { hosts: [], currentVersion: 3, openRotation: null }, null, ['3 current ']],
    [
      'is what each host has, the most common first',
      { hosts: [on(one, 2), on(two, 3), on('h3' as HostId, 3)], currentVersion: 2, openRotation: null },
      null,
      ['3 current h2,h3', '2 current h1'],
    ],
    ['is what the host has that is asked for', { hosts: [on(one, 2), on(two, 3)], currentVersion: 2, openRotation: null }, one, ['2 current h1']],
    ['is not yet what only waits to be set', { hosts: [on(one, 1)], currentVersion: 1, openRotation: rotation(2, [one, 'waiting']) }, null, ['1 current h1']],
    [
      'is also what is being set',
      { hosts: [on(one, 1)], currentVersion: 1, openRotation: rotation(2, [one, 'claimed']) },
      null,
      ['1 current h1', '2 staged h1'],
    ],
    [
      'is also what may have been set',
      { hosts: [on(one, 1), on(two, 1)], currentVersion: 1, openRotation: rotation(2, [one, 'doubt'], [two, 'waiting']) },
      null,
      ['1 current h1,h2', '2 staged h1'],
    ],
    ['is nothing of another host', { hosts: [on(one, 1), on(two, 1)], currentVersion: 1, openRotation: rotation(2, [two, 'doubt']) }, one, ['1 current h1']],
    [
      'is also what a person may have set where no connector does',
      { hosts: [], currentVersion: 1, openRotation: rotation(2) },
      null,
      ['1 current ', '2 staged '],
    ],
  ])('%s', (_, state, hostId, shown) => {
    expect(possibleVersions(state, hostId).map(({ version, label, hostIds }) => `${version} ${label} ${hostIds.join()}`)).toEqual(shown)
  })
})

describe('a sliding window', () => {
  test('never holds more than its limit, whenever anybody asks, and is never closed for longer than it has to be', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 30_000 }), { maxLength: 60 }), (pauses) => {
        const allowed: Date[] = []
        let now = 1_700_000_000_000
        for (const pause of pauses) {
          now += pause
          const waits = untilAllowed(allowed, new Date(now), useWindow, usesPerMinute)
          if (waits === undefined) allowed.push(new Date(now))
          else {
            expect(waits).toBeGreaterThan(0)
            expect(untilAllowed(allowed, new Date(now + waits), useWindow, usesPerMinute)).toBeUndefined()
            expect(untilAllowed(allowed, new Date(now + waits - 1), useWindow, usesPerMinute)).toBeDefined()
          }
          const inside = allowed.filter((time) => time.getTime() > now - useWindow)
          expect(inside.length).toBeLessThanOrEqual(usesPerMinute)
        }
      }),
      { numRuns: 300 },
    )
  })
})

test('a slot is a free one, else the lowest beyond the maximum', () => {
  expect(breakGlassSlot([], 1)).toEqual({ slot: 0, beyondLimit: false })
  expect(breakGlassSlot([0], 1)).toEqual({ slot: 1, beyondLimit: true })
  expect(breakGlassSlot([0, 2], 3)).toEqual({ slot: 1, beyondLimit: false })
  expect(breakGlassSlot([0, 1, 2, 3], 3)).toEqual({ slot: 4, beyondLimit: true })
})

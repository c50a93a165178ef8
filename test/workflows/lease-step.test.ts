import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { LeaseFacts } from '#schemas/lease-facts.ts'
import type { RotationState } from '#schemas/states.ts'
import { idleLook, nextLeaseStep, type LeaseStep } from '#workflows/lease-step.ts'
import { leaseFacts, minute } from './facts.ts'

const ended = { state: 'ended', endedAt: '2026-01-01T00:10:00.000Z', endCause: 'checked_in', remainingMs: 0 } as const
const rotation = (state: RotationState) => ({ id: '00000000-0000-4000-8000-000000000000', state }) as NonNullable<LeaseFacts['rotation']>

const table: [promise: string, facts: Partial<LeaseFacts>, step: LeaseStep][] = [
  ['an active lease is waited for until its end', { remainingMs: 30 * minute }, { do: 'wait', ms: 30 * minute }],
  ['a lease that is due in a moment is not asked for more than 20 times a second', { remainingMs: 1 }, { do: 'wait', ms: 50 }],
  ['a due lease is ended in the version that was waited for', { remainingMs: 0, version: 3 }, { do: 'release', version: 3 }],
  ['an ended lease that owes nothing is finished', ended, { do: 'finish' }],
  ['an ended lease whose rotation is not inserted yet is watched', { ...ended, rotationOwed: true }, { do: 'wait', ms: idleLook }],
  ['an ended lease is watched while its rotation is open', { ...ended, rotationOwed: true, rotation: rotation('pending') }, { do: 'wait', ms: idleLook }],
  ['a confirmed rotation finishes the lease', { ...ended, rotation: rotation('confirmed') }, { do: 'finish' }],
  [
    'a failed rotation finishes the lease, although another one is still owed',
    { ...ended, rotationOwed: true, rotation: rotation('failed') },
    { do: 'finish' },
  ],
  ['a cancelled rotation finishes the lease', { ...ended, rotation: rotation('cancelled') }, { do: 'finish' }],
]

describe('the next step of a lease', () => {
  test.each(table)('%s', (_, fields, step) => {
    expect(nextLeaseStep(leaseFacts(fields))).toEqual(step)
  })

  test('never ends a lease before its time, nor waits past its end', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1440 * minute }), fc.integer({ min: 1, max: 50 }), (remainingMs, version) => {
        const step = remainingMs === 0 ? { do: 'release', version } : { do: 'wait', ms: Math.max(50, remainingMs) }
        expect(nextLeaseStep(leaseFacts({ remainingMs, version }))).toEqual(step)
      }),
      { numRuns: 200 },
    )
  })
})

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { RotationFacts } from '#schemas/rotation-facts.ts'
import { doubtLimit } from '#schemas/rules/rotation.ts'
import { idleLook } from '#workflows/lease-step.ts'
import { nextRotationStep, type RotationStep } from '#workflows/rotation-step.ts'
import { jobFacts, minute, rotationFacts } from './facts.ts'

const open = { stagedVersion: 2, phase: 'waiting' } as const
const claimed = jobFacts({ state: 'claimed', epoch: 1, claimRemainingMs: 20_000 })
const lapsed = jobFacts({ state: 'claimed', epoch: 4, claimRemainingMs: -1 })
const doubtful = (doubtForMs: number) => jobFacts({ state: 'doubt', kind: 'probe', epoch: 1, doubtForMs })

const table: [promise: string, facts: Partial<RotationFacts>, step: RotationStep][] = [
  ['a new rotation gets its value', {}, { do: 'stage' }],
  ['a staged value goes to the hosts', { stagedVersion: 2, phase: 'staged' }, { do: 'open-jobs' }],
  ['a value that was refused is followed by another one', { stagedVersion: null, phase: 'queued', jobs: [jobFacts({ attempts: 1 })] }, { do: 'stage' }],
  ['a job that waits for its connector is waited for', { ...open, jobs: [jobFacts()] }, { do: 'wait', ms: idleLook }],
  ['a claim is waited for until it lapses', { ...open, phase: 'applying', jobs: [jobFacts(), claimed] }, { do: 'wait', ms: 20_000 }],
  ['a claim that lapsed becomes a doubt', { ...open, phase: 'applying', jobs: [claimed, lapsed] }, { do: 'lapse', jobId: lapsed.jobId, epoch: 4 }],
  ['a doubt is waited for until it needs a person', { ...open, phase: 'in_doubt', jobs: [doubtful(minute)] }, { do: 'wait', ms: doubtLimit - minute }],
  ['a doubt of 10 minutes needs a person', { ...open, phase: 'in_doubt', jobs: [doubtful(doubtLimit)] }, { do: 'raise-attention' }],
  ['a doubt that a person knows of is waited for', { ...open, needsAttention: true, jobs: [doubtful(doubtLimit * 2)] }, { do: 'wait', ms: idleLook }],
  ['a value without a host waits for a person', { ...open, needsAttention: true }, { do: 'wait', ms: idleLook }],
  ['what is pending for too long is told, whatever it waits for', { ...open, jobs: [jobFacts()], stuckInMs: 0 }, { do: 'tell-stuck' }],
  ['even a value that cannot be made is told', { stuckInMs: -1 }, { do: 'tell-stuck' }],
  ['what may be told one day is waited for', { ...open, jobs: [jobFacts()], stuckInMs: minute }, { do: 'wait', ms: minute }],
  ['what was told is waited for', { ...open, jobs: [jobFacts()], stuckInMs: null }, { do: 'wait', ms: idleLook }],
  ['the last answer settles it', { ...open, jobs: [jobFacts({ state: 'confirmed' }), jobFacts({ state: 'failed' })] }, { do: 'settle' }],
  ['a confirmed rotation is finished', { ...open, state: 'confirmed', phase: 'done' }, { do: 'finish' }],
  ['a failed rotation is finished', { ...open, state: 'failed', phase: 'done' }, { do: 'finish' }],
  ['a cancelled rotation is finished, staged or not', { state: 'cancelled' }, { do: 'finish' }],
]

const states = fc.constantFrom('waiting', 'claimed', 'doubt', 'confirmed', 'failed', 'cancelled')
const anyJob = fc
  .record({ state: states, claim: fc.integer({ min: -60_000, max: 60_000 }), doubt: fc.integer({ min: 0, max: doubtLimit * 2 }), doubted: fc.boolean() })
  .map(({ state, claim, doubt, doubted }) =>
    jobFacts({
      state,
      epoch: 1,
      claimRemainingMs: state === 'claimed' ? claim : null,
      doubtForMs: state === 'doubt' || (state === 'claimed' && doubted) ? doubt : null,
    }),
  )

describe('the next step of a rotation', () => {
  test.each(table)('%s', (_, fields, step) => {
    expect(nextRotationStep(rotationFacts(fields))).toEqual(step)
  })

  test('never waits past the moment at which a claim lapses or a doubt needs a person', () => {
    fc.assert(
      fc.property(fc.array(anyJob, { minLength: 1, maxLength: 5 }), fc.boolean(), (jobs, needsAttention) => {
        const step = nextRotationStep(rotationFacts({ ...open, jobs, needsAttention }))
        if (step.do !== 'wait') return
        for (const { claimRemainingMs, doubtForMs } of jobs) {
          if (claimRemainingMs !== null) expect(step.ms).toBeLessThanOrEqual(Math.max(50, claimRemainingMs))
          if (doubtForMs !== null && !needsAttention) expect(step.ms).toBeLessThanOrEqual(Math.max(50, doubtLimit - doubtForMs))
        }
      }),
      { numRuns: 300 },
    )
  })

  test('stages at most one value: with a staged version it never stages again', () => {
    fc.assert(
      fc.property(fc.array(anyJob, { maxLength: 5 }), fc.constantFrom('queued', 'staged', 'waiting', 'applying', 'in_doubt'), (jobs, phase) => {
        expect(nextRotationStep(rotationFacts({ stagedVersion: 2, phase, jobs })).do).not.toBe('stage')
      }),
      { numRuns: 100 },
    )
  })
})

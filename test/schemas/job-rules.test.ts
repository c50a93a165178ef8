import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ConnectorId, JobId } from '#schemas/ids.ts'
import type { JobReport } from '#schemas/job-facts.ts'
import { verdictOfReport } from '#schemas/rules/job.ts'
import { maximumAttempts } from '#schemas/rules/rotation.ts'
import { jobTransitions } from '#schemas/rules/transitions.ts'

const report = (outcome: JobReport['outcome'], more: Partial<JobReport> = {}): JobReport => ({
  jobId: 'j' as JobId,
  epoch: 1,
  instance: 'i',
  connectorId: 'c' as ConnectorId,
  outcome,
  reasonClass: outcome === 'confirmed' ? null : 'refused',
  stagedLogsIn: null,
  knownLogsIn: null,
  ...more,
})

describe('a result', () => {
  test('that is confirmed proves the host', () =>
    expect(verdictOfReport({ kind: 'reset', attempts: 0 }, report('confirmed'))).toMatchObject({ state: 'confirmed', host: 'in_sync' }))
  test('that nobody can tell is followed by a probe, never by a blind change', () => {
    expect(verdictOfReport({ kind: 'reset', attempts: 0 }, report('unknown'))).toMatchObject({ state: 'doubt', kind: 'probe', host: 'unknown' })
  })
  test('of a probe in which neither value logs in means that somebody else changed the account', () => {
    expect(verdictOfReport({ kind: 'probe', attempts: 1 }, report('unknown', { stagedLogsIn: false, knownLogsIn: false })).host).toBe('drifted')
  })
  test('of a probe that finds the old value lets the change be made, and counts no attempt', () => {
    expect(verdictOfReport({ kind: 'probe', attempts: 1 }, report('unchanged'))).toMatchObject({ state: 'waiting', kind: 'reset', attempts: 1 })
  })
  test('that nothing was changed proves the host only by a login with the old value; else what is known of it stays', () => {
    for (const attempts of [0, maximumAttempts]) {
      expect(verdictOfReport({ kind: 'reset', attempts }, report('unchanged', { reasonClass: 'unreachable' })).host).toBeNull()
      expect(verdictOfReport({ kind: 'reset', attempts }, report('unchanged', { knownLogsIn: true })).host).toBe('in_sync')
    }
  })
  test('that is refused is tried again, and fails for good after the last attempt', () => {
    expect(verdictOfReport({ kind: 'reset', attempts: 0 }, report('unchanged'))).toMatchObject({ state: 'waiting', attempts: 1, delayMs: 2_000 })
    expect(verdictOfReport({ kind: 'reset', attempts: maximumAttempts - 1 }, report('unchanged')).state).toBe('failed')
  })
  test('that refuses the value by policy never fails the job by itself: the rotation makes another value', () => {
    for (const attempts of [0, maximumAttempts, 10]) {
      const verdict = verdictOfReport({ kind: 'reset', attempts }, report('unchanged', { reasonClass: 'policy-refused' }))
      expect(verdict).toMatchObject({ state: 'waiting', attempts: attempts + 1, delayMs: 0, refusesValue: true })
    }
    expect(verdictOfReport({ kind: 'reset', attempts: 0 }, report('unchanged')).refusesValue).toBe(false)
  })
  test('makes of a claimed job only what a claimed job may become', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('reset' as const, 'probe' as const),
        fc.nat(10),
        fc.constantFrom('confirmed' as const, 'unchanged' as const, 'unknown' as const),
        (kind, attempts, outcome) => {
          expect(jobTransitions.claimed).toContain(verdictOfReport({ kind, attempts }, report(outcome)).state)
        },
      ),
    )
  })
})

import type { JobReport } from '../job-facts.ts'
import type { HostState, JobKind, JobState } from '../states.ts'
import { maximumAttempts, retryDelay } from './rotation.ts'

export interface JobVerdict {
  readonly state: Extract<JobState, 'confirmed' | 'failed' | 'waiting' | 'doubt'>
  /** What the next claim does. */
  readonly kind: JobKind
  readonly attempts: number
  readonly reasonClass: string | null
  /** ms until the job may be offered again. */
  readonly delayMs: number
  /** What is known of the host now; null: nothing new. */
  readonly host: HostState | null
  /** The target's own policy refuses this very value: it must not be applied again. */
  readonly refusesValue: boolean
}

/** What a result makes of its job: proven, not done (again later, or failed for good), or unknown (probe before anything else). */
export function verdictOfReport(job: { readonly kind: JobKind; readonly attempts: number }, report: JobReport): JobVerdict {
  const attempts = job.attempts + 1
  const base = { kind: job.kind, attempts, reasonClass: report.reasonClass, delayMs: 0, refusesValue: false } as const
  if (report.outcome === 'confirmed') return { ...base, state: 'confirmed', reasonClass: null, host: 'in_sync' }
  if (report.outcome === 'unknown') {
    // Neither value logs in: somebody changed the account behind our back, and only a person knows the value.
    const drifted = report.stagedLogsIn === false && report.knownLogsIn === false
    return { ...base, state: 'doubt', kind: 'probe', delayMs: retryDelay(attempts), host: drifted ? 'drifted' : 'unknown' }
  }
  // Only a login proves what the host has; who was never let in has changed nothing, and found out nothing.
  const host = report.knownLogsIn === true ? 'in_sync' : null
  const waiting = { ...base, state: 'waiting', kind: 'reset', host } as const
  // A probe that finds the known value proves the host unchanged; that is not a failed attempt to change it.
  if (job.kind === 'probe') return { ...waiting, attempts: job.attempts }
  // How often that may happen is the rotation's business, which makes another value.
  if (report.reasonClass === 'policy-refused') return { ...waiting, refusesValue: true }
  if (attempts >= maximumAttempts) return { ...base, state: 'failed', host }
  return { ...waiting, delayMs: retryDelay(attempts) }
}

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
}

/** What a result makes of its job: proven, not done (again later, or failed for good), or unknown (probe before anything else). */
export function verdictOfReport(job: { readonly kind: JobKind; readonly attempts: number }, report: JobReport): JobVerdict {
  const attempts = job.attempts + 1
  const reasonClass = report.reasonClass
  if (report.outcome === 'confirmed') return { state: 'confirmed', kind: job.kind, attempts, reasonClass: null, delayMs: 0, host: 'in_sync' }
  if (report.outcome === 'unknown') {
    // Neither value logs in: somebody changed the account behind our back, and only a person knows the value.
    const drifted = report.stagedLogsIn === false && report.knownLogsIn === false
    return { state: 'doubt', kind: 'probe', attempts, reasonClass, delayMs: retryDelay(attempts), host: drifted ? 'drifted' : 'unknown' }
  }
  // A probe that finds the known value proves the host unchanged; that is not a failed attempt to change it.
  if (job.kind === 'probe') return { state: 'waiting', kind: 'reset', attempts: job.attempts, reasonClass, delayMs: 0, host: 'in_sync' }
  if (attempts >= maximumAttempts) return { state: 'failed', kind: job.kind, attempts, reasonClass, delayMs: 0, host: 'in_sync' }
  return { state: 'waiting', kind: 'reset', attempts, reasonClass, delayMs: retryDelay(attempts), host: 'in_sync' }
}

import type { SealedJob } from '#schemas/connector-message.ts'
import { runJob, type JobOutcome, type JobTools } from './run-job.ts'

/** For what comes after the last moment of a change: its proof by two logins, and clearing up, ms. */
const proofLimit = 30_000

/**
 * Does one job, and gives it up when it is not done long after its time: its connections are ended, nothing more is written down, and
 * what the target has is for a probe to find out. Adapters have limits of their own; this one is for what they forget, so that no
 * target keeps one of the few places for jobs.
 */
export async function runTimedJob(job: SealedJob, tools: JobTools): Promise<JobOutcome> {
  const end = new AbortController()
  const { signal } = end
  const step: JobTools['step'] = (state) => {
    // A late step would open the job again after its result.
    signal.throwIfAborted()
    tools.step(state)
  }
  const clock = startClock(tools.remaining(), () => end.abort())
  const givenUp = new Promise<JobOutcome>((resolve) => {
    signal.addEventListener('abort', () => resolve({ outcome: 'unknown', reasonClass: 'interrupted', stagedLogsIn: null, knownLogsIn: null }))
  })
  try {
    return await Promise.race([givenUp, runJob({ ...job, target: { ...job.target, signal } }, { ...tools, step })])
  } finally {
    clock.stop()
  }
}

/** Two waits one after the other: a process that stood still in the first one has the second one left, to read what came meanwhile. */
function startClock(remaining: number, ring: () => void): { readonly stop: () => void } {
  let limit = setTimeout(
    () => {
      limit = setTimeout(ring, proofLimit)
    },
    Math.max(0, remaining),
  )
  return { stop: () => clearTimeout(limit) }
}

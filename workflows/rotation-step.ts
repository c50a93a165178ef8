import type { RotationFacts } from '#schemas/rotation-facts.ts'
import { doubtLimit, verdictOf } from '#schemas/rules/rotation.ts'
import { isFinal, rotationTransitions } from '#schemas/rules/transitions.ts'
import { idleLook, shortestWait } from './lease-step.ts'

/** What the workflow of a rotation does next. */
export type RotationStep =
  | { readonly do: 'stage' | 'open-jobs' | 'raise-attention' | 'tell-stuck' | 'settle' | 'finish' }
  /** Gives up a claim whose time is over: the host is in doubt. */
  | { readonly do: 'lapse'; readonly jobId: string; readonly epoch: number }
  | { readonly do: 'wait'; readonly ms: number }

/** Table from top to bottom: the first line that fits is the step. */
export function nextRotationStep(facts: RotationFacts): RotationStep {
  if (isFinal(rotationTransitions, facts.state)) return { do: 'finish' }
  const stuckInMs = facts.stuckInMs ?? null
  if (stuckInMs !== null && stuckInMs <= 0) return { do: 'tell-stuck' }
  if (facts.stagedVersion === null) return { do: 'stage' }
  if (facts.phase === 'staged') return { do: 'open-jobs' }
  const lapsed = facts.jobs.find((job) => job.claimRemainingMs !== null && job.claimRemainingMs <= 0)
  if (lapsed !== undefined) return { do: 'lapse', jobId: lapsed.jobId, epoch: lapsed.epoch }
  if (facts.jobs.length > 0 && verdictOf(facts.jobs) !== 'pending') return { do: 'settle' }
  const doubts = facts.needsAttention ? [] : facts.jobs.flatMap((job) => (job.doubtForMs === null ? [] : [doubtLimit - job.doubtForMs]))
  if (doubts.some((left) => left <= 0)) return { do: 'raise-attention' }
  const claims = facts.jobs.flatMap((job) => (job.claimRemainingMs === null ? [] : [job.claimRemainingMs]))
  return { do: 'wait', ms: Math.max(shortestWait, Math.min(idleLook, ...doubts, ...claims, ...(stuckInMs === null ? [] : [stuckInMs]))) }
}

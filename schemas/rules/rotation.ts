/** Date arithmetic and verdicts of rotations (S2 "Password rotation"). Pure; `now` is an argument. */

import type { JobState, RotationTrigger } from '../states.ts'

export const day = 86_400_000

/**
 * The next date of an automatic rotation.
 *
 * @param intervalDays days between rotations; null: automatic rotation is off
 * @param confirmedAt when this rotation was confirmed
 * @param dueAt for a scheduled rotation the date that was due: the next one is `dueAt + k * interval`, the first in the
 *   future, so a late rotation does not move the schedule. Null for every other trigger: counted from `confirmedAt`.
 */
export function nextRotationAt(intervalDays: number | null, confirmedAt: Date, dueAt: Date | null): Date | null {
  if (intervalDays === null) return null
  const interval = intervalDays * day
  if (dueAt === null) return new Date(confirmedAt.getTime() + interval)
  const missed = Math.max(0, Math.floor((confirmedAt.getTime() - dueAt.getTime()) / interval))
  return new Date(dueAt.getTime() + (missed + 1) * interval)
}

/** What the states of its jobs say about a rotation: every host confirmed, some host failed for good, or not yet. */
export function verdictOf(jobs: readonly { readonly state: JobState }[]): 'pending' | 'confirmed' | 'failed' {
  if (jobs.some((job) => job.state === 'waiting' || job.state === 'claimed' || job.state === 'doubt')) return 'pending'
  return jobs.length > 0 && jobs.every((job) => job.state === 'confirmed') ? 'confirmed' : 'failed'
}

/** A rotation makes so many values at most; each is applied alone, and the next only after a definite refusal of the last. */
export const maximumCandidates = 3

/**
 * What becomes of a value that the policy of some host refused.
 *
 * @param jobs of the rotation; `refuses`: this host's policy does not take the present value
 * @param candidates values made so far
 * @returns wait: another host may be just taking it; give-up: some host has it already, or enough was tried; another: a new one
 */
export function afterRefusal(
  jobs: readonly { readonly state: JobState; readonly refuses: boolean }[],
  candidates: number,
): 'no-refusal' | 'wait' | 'give-up' | 'another' {
  if (!jobs.some((job) => job.refuses && job.state === 'waiting')) return 'no-refusal'
  if (jobs.some((job) => job.state === 'claimed' || job.state === 'doubt')) return 'wait'
  return candidates >= maximumCandidates || jobs.some((job) => job.state === 'confirmed') ? 'give-up' : 'another'
}

/** Pause before attempt `attempts + 1`, in ms: 2 s doubled up to 5 min. */
export const retryDelay = (attempts: number): number => Math.min(2_000 * 2 ** Math.max(0, attempts - 1), 300_000)

/** After so many definite failures of one class the job fails instead of trying a login again. */
export const maximumAttempts = 3
/** How long a claim holds the identity without a sign of life, ms. */
export const claimHold = 30_000
/** A doubt older than this needs a person, ms. */
export const doubtLimit = 600_000

/** ms until the next attempt after `failures` failed rotations in a row: 1 h doubled up to 24 h; null after 6: a person must look. */
export const retryAfterFailure = (failures: number): number | null => (failures > 6 ? null : Math.min(3_600_000 * 2 ** (failures - 1), day))

/** Why a value must die: an emergency goes before everything, and the end of a lease before a right that somebody lost. */
export const owedTrigger = ({ breakGlass, lostAccess }: { readonly breakGlass: boolean; readonly lostAccess: boolean }): RotationTrigger =>
  breakGlass ? 'break_glass' : lostAccess ? 'access_loss' : 'after_use'

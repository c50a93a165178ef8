import type { ItemDecision, RecertificationState } from '../states.ts'

/** Times of a recertification and what a reviewer may decide in it, in ms. Pure. */

const hour = 3_600_000

export const shortestRecertification = hour
export const longestRecertification = 90 * 24 * hour

/** Reviewers are reminded a day before the end, or when half of the time is over where that is less. */
export function reminderAt(openedAt: Date, dueAt: Date): Date {
  const lasts = dueAt.getTime() - openedAt.getTime()
  return new Date(dueAt.getTime() - Math.min(24 * hour, lasts / 2))
}

/** What a decision about one item depends on. */
export interface ItemStanding {
  readonly state: RecertificationState
  /** Its time is over, whether or not a clock has written that down. */
  readonly isDue: boolean
  /** Whoever decides is a reviewer by now. */
  readonly isReviewer: boolean
  /** The item is about their own access, or that of a group they are in or have been in meanwhile. */
  readonly isOwn: boolean
  readonly decision: ItemDecision
}

export type ItemRefusal = 'closed' | 'no-reviewer' | 'own-access' | 'decided'

/**
 * Table from top to bottom: the first line that fits refuses. A removal takes effect at once and is final; who wants to keep something may
 * still change their mind, or somebody else for them.
 *
 * @returns undefined: it may be decided so
 */
export function refuseDecision({ state, isDue, isReviewer, isOwn, decision }: ItemStanding, wanted: 'keep' | 'remove'): ItemRefusal | undefined {
  if (state !== 'open' || isDue) return 'closed'
  if (!isReviewer) return 'no-reviewer'
  if (isOwn) return 'own-access'
  if (decision === 'open' || (decision === 'keep' && wanted === 'remove')) return undefined
  return 'decided'
}

import type { BreakGlassReviewFacts } from '#schemas/break-glass-facts.ts'
import { breakGlassReviewTransitions, isFinal } from '#schemas/rules/transitions.ts'
import { idleLook, shortestWait } from './lease-step.ts'

/** What the workflow of a review does next. */
export type BreakGlassReviewStep =
  | { readonly do: 'wait'; readonly ms: number }
  /** Reminds the admins, unless somebody did since the look. */
  | { readonly do: 'remind'; readonly reminders: number }
  | { readonly do: 'finish' }

export function nextBreakGlassReviewStep({ state, reminders, nextReminderInMs }: BreakGlassReviewFacts): BreakGlassReviewStep {
  if (isFinal(breakGlassReviewTransitions, state)) return { do: 'finish' }
  if (nextReminderInMs <= 0) return { do: 'remind', reminders }
  return { do: 'wait', ms: Math.max(shortestWait, Math.min(idleLook, nextReminderInMs)) }
}

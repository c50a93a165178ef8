import type { SupportAccessFacts } from '#schemas/support-access-facts.ts'
import { idleLook, shortestWait } from './lease-step.ts'

/** What the workflow of a support window does next. */
export type SupportAccessStep =
  | { readonly do: 'finish' }
  | { readonly do: 'remind' }
  /** Ends the window, if it still has the version whose end was waited for. */
  | { readonly do: 'expire'; readonly version: number }
  | { readonly do: 'wait'; readonly ms: number }

/** Table from top to bottom: the first line that fits is the step. */
export function nextSupportAccessStep({ state, version, remainingMs, reminderInMs }: SupportAccessFacts): SupportAccessStep {
  if (state === 'ended') return { do: 'finish' }
  if (remainingMs !== null && remainingMs <= 0) return { do: 'expire', version }
  if (reminderInMs !== null && reminderInMs <= 0) return { do: 'remind' }
  return { do: 'wait', ms: Math.max(shortestWait, Math.min(idleLook, remainingMs ?? idleLook, reminderInMs ?? idleLook)) }
}

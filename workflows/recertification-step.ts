import type { RecertificationFacts } from '#schemas/recertification-facts.ts'
import { idleLook, shortestWait } from './lease-step.ts'

/** What the workflow of a recertification does next. */
export type RecertificationStep =
  | { readonly do: 'finish' }
  | { readonly do: 'remind' }
  /** Settles a batch of what is open; the last one ends it. */
  | { readonly do: 'settle' }
  | { readonly do: 'wait'; readonly ms: number }

/** Table from top to bottom: the first line that fits is the step. */
export function nextRecertificationStep({ state, remainingMs, reminderInMs }: RecertificationFacts): RecertificationStep {
  if (state !== 'open') return { do: 'finish' }
  if (remainingMs <= 0) return { do: 'settle' }
  if (reminderInMs !== null && reminderInMs <= 0) return { do: 'remind' }
  return { do: 'wait', ms: Math.max(shortestWait, Math.min(idleLook, remainingMs, reminderInMs ?? idleLook)) }
}

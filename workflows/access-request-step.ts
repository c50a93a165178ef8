import type { AccessRequestFacts } from '#schemas/access-request-facts.ts'
import { accessRequestTransitions, isFinal } from '#schemas/rules/transitions.ts'
import { idleLook, shortestWait } from './lease-step.ts'

/** What the workflow of an access request does next. */
export type AccessRequestStep = { readonly do: 'expire' | 'escalate' | 'finish' } | { readonly do: 'wait'; readonly ms: number }

/** Table from top to bottom: the first line that fits is the step. */
export function nextAccessRequestStep({ state, remainingMs, escalationMs }: AccessRequestFacts): AccessRequestStep {
  if (isFinal(accessRequestTransitions, state)) return { do: 'finish' }
  if (remainingMs <= 0) return { do: 'expire' }
  if (escalationMs !== null && escalationMs <= 0) return { do: 'escalate' }
  return { do: 'wait', ms: Math.max(shortestWait, Math.min(idleLook, remainingMs, escalationMs ?? remainingMs)) }
}

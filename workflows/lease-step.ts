import type { LeaseFacts } from '#schemas/lease-facts.ts'
import { isFinal, rotationTransitions } from '#schemas/rules/transitions.ts'

/** What the workflow of a lease does next. */
export type LeaseStep =
  | { readonly do: 'wait'; readonly ms: number }
  /** Ends the lease, if it still has the version whose end was waited for. */
  | { readonly do: 'release'; readonly version: number }
  | { readonly do: 'finish' }

/** A look that nobody asked for, in case a poke was lost: 24 h. */
export const idleLook = 86_400_000
/** The timer may fire a moment before PostgreSQL's clock agrees. */
export const shortestWait = 50

/** A lease is finished when it has ended and the rotation that its end owes, if any, is final. */
export function nextLeaseStep(facts: LeaseFacts): LeaseStep {
  if (facts.state === 'active') {
    return facts.remainingMs > 0 ? { do: 'wait', ms: Math.max(shortestWait, facts.remainingMs) } : { do: 'release', version: facts.version }
  }
  const settled = facts.rotation === null ? !facts.rotationOwed : isFinal(rotationTransitions, facts.rotation.state)
  return settled ? { do: 'finish' } : { do: 'wait', ms: idleLook }
}

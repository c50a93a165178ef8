import type { RotationCampaignFacts } from '#schemas/rotation-campaign-facts.ts'
import { isFinal, rotationCampaignTransitions } from '#schemas/rules/transitions.ts'
import { idleLook, shortestWait } from './lease-step.ts'

/** What the workflow of a campaign does next. */
export type RotationCampaignStep = { readonly do: 'finish' | 'end' | 'begin' } | { readonly do: 'wait'; readonly ms: number }

/** Table from top to bottom: the first line that fits is the step. */
export function nextRotationCampaignStep({ state, waiting, ready, rotating, places, nextPlaceInMs }: RotationCampaignFacts): RotationCampaignStep {
  if (isFinal(rotationCampaignTransitions, state)) return { do: 'finish' }
  if (rotating === 0 && (waiting === 0 || state === 'aborting')) return { do: 'end' }
  if (state !== 'running' || ready === 0) return { do: 'wait', ms: idleLook }
  if (places > 0) return { do: 'begin' }
  return { do: 'wait', ms: Math.max(shortestWait, Math.min(idleLook, nextPlaceInMs ?? idleLook)) }
}

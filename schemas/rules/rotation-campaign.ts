import type { RotationId } from '../ids.ts'
import type { RotationCampaignState } from '../states.ts'
import { minute } from './lease.ts'
import { rotationCampaignTransitions } from './transitions.ts'

/** What a campaign does with each of its identities, and what people may do with a campaign. Pure. */

/** Most identities of one campaign. */
export const mostIdentities = 1_000

/** A rotation that is not over after so long, ms, takes no place any more: a holder or a connector that is away holds up nobody else. */
export const placeLimit = 5 * minute

export type CampaignVerb = 'pause' | 'resume' | 'abort'
const targets = { pause: 'paused', resume: 'running', abort: 'aborting' } as const satisfies Record<CampaignVerb, RotationCampaignState>

/** What a campaign becomes by a verb: `same` where it is that already, `over` where it cannot become it any more. */
export function afterVerb(state: RotationCampaignState, verb: CampaignVerb): 'paused' | 'running' | 'aborting' | 'same' | 'over' {
  const target = targets[verb]
  if (state === target) return 'same'
  return rotationCampaignTransitions[state].includes(target) ? target : 'over'
}

/** Codes of the error table, where rotating such an identity alone would answer one. */
export type SkipReason = 'deleted' | 'moved' | 'enrolling' | 'identity-disabled' | 'identity-has-no-hosts' | 'credential-not-rotatable' | 'aborted'

/** An identity whose turn it is, behind its lock. */
export interface TurnFacts {
  readonly deleted: boolean
  /** It belongs to another organization by now. */
  readonly moved: boolean
  readonly state: 'active' | 'disabled' | 'enrolling'
  readonly hosts: number
  /** Some host cannot change its type of credential. */
  readonly unchangeable: boolean
  /** The newest value that there was when the campaign began. */
  readonly versionBefore: number
  /** The rotation that is open, or else the one that made the present value. */
  readonly rotation: { readonly id: RotationId; readonly open: boolean; readonly stagedVersion: number | null } | null
}

export type Turn =
  | { readonly do: 'skip'; readonly reason: SkipReason }
  /** Its values from before are dead already. */
  | { readonly do: 'confirm'; readonly rotationId: RotationId }
  /** An open rotation does it. */
  | { readonly do: 'join'; readonly rotationId: RotationId }
  /** An open rotation must be over first: its value is from before. */
  | { readonly do: 'wait' }
  | { readonly do: 'begin' }

/**
 * What must die is every value that there was when the campaign began, staged ones included. So a rotation counts, whoever began it,
 * if its value was made later: one that has none yet, or a newer one. Table from top to bottom: the first line that fits.
 */
export function turnOf({ deleted, moved, state, hosts, unchangeable, versionBefore, rotation }: TurnFacts): Turn {
  if (deleted) return { do: 'skip', reason: 'deleted' }
  if (moved) return { do: 'skip', reason: 'moved' }
  if (state === 'enrolling') return { do: 'skip', reason: 'enrolling' }
  if (state === 'disabled') return { do: 'skip', reason: 'identity-disabled' }
  if (hosts === 0) return { do: 'skip', reason: 'identity-has-no-hosts' }
  if (unchangeable) return { do: 'skip', reason: 'credential-not-rotatable' }
  if (rotation === null) return { do: 'begin' }
  const counts = rotation.stagedVersion === null || rotation.stagedVersion > versionBefore
  if (rotation.open) return counts ? { do: 'join', rotationId: rotation.id } : { do: 'wait' }
  return counts ? { do: 'confirm', rotationId: rotation.id } : { do: 'begin' }
}

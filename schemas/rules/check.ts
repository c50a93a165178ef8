import type { JobReport } from '../job-facts.ts'
import type { CheckOutcome, CheckState } from '../states.ts'

/** Checks of stored credentials: one login with the known version, and nothing that could lock an account out. Pure. */

/** So many claims has one check at most, and a claim is one login at most: another one only after a claim that was lost. */
export const maximumClaims = 2
/** What a connector has for the login, ms. */
export const checkTime = 30_000
/** When a claim without a result is lost, ms: a connector gives a login up before that. */
export const checkHold = 65_000
/** Without an answer an offer is repeated after this time, ms. */
export const offerAgain = 10_000
/** After so many offers in a row that nobody took, a check is given up: a connector that is there may have its hands full. */
export const maximumOffers = { online: 60, offline: 3 } as const

export interface CheckVerdict {
  readonly outcome: CheckOutcome
  /** Why there was no login, or `denied`; null: the value logs in. */
  readonly reasonClass: string | null
}

/** What a result says of the host. Only a login that was judged proves or disproves anything. */
export function verdictOfCheck({ outcome, stagedLogsIn, reasonClass }: Pick<JobReport, 'outcome' | 'stagedLogsIn' | 'reasonClass'>): CheckVerdict {
  if (outcome === 'confirmed') return { outcome: 'in_sync', reasonClass: null }
  return { outcome: stagedLogsIn === false ? 'drifted' : 'unreachable', reasonClass }
}

/** Whether a login was let in or refused, so that the value is known to work or not. */
export const isJudged = (outcome: CheckOutcome | null): boolean => outcome === 'in_sync' || outcome === 'drifted'

export interface CheckTurn {
  readonly state: CheckState
  readonly claims: number
  readonly offers: number
  /** ms until the claim is lost; not above 0: it is. */
  readonly holdMs: number
  /** Whether the connector was heard of. */
  readonly online: boolean
  /** Another host of the identity is being asked: one after the other, so that one wrong value is not tried everywhere at once. */
  readonly taken: boolean
}

export type CheckStep =
  | { readonly do: 'nothing' }
  | { readonly do: 'wait'; readonly ms: number }
  /** `sent` false: nobody would hear it, so it only counts. */
  | { readonly do: 'offer'; readonly sent: boolean }
  | ({ readonly do: 'end' } & CheckVerdict)

/** What is to be done about a check now. */
export function nextCheckStep({ state, claims, offers, holdMs, online, taken }: CheckTurn): CheckStep {
  if (state === 'done' || state === 'cancelled') return { do: 'nothing' }
  if (state === 'claimed' && holdMs > 0) return { do: 'wait', ms: holdMs }
  if (claims >= maximumClaims) return { do: 'end', outcome: 'unknown', reasonClass: 'lapsed' }
  if (taken) return { do: 'wait', ms: offerAgain }
  if (offers >= maximumOffers[online ? 'online' : 'offline']) {
    return { do: 'end', outcome: 'unreachable', reasonClass: online ? 'late' : 'connector-offline' }
  }
  return { do: 'offer', sent: online }
}

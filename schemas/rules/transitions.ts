import type { DeliveryState } from '../notice.ts'
import type {
  AccessRequestState,
  CampaignItemState,
  CheckState,
  ItemDecision,
  JobState,
  LeaseState,
  RecertificationState,
  RotationCampaignState,
  RotationState,
} from '../states.ts'

/** from -> the states it may become. The rows of `state_transition` in the database are the same table. */
export type Transitions<State extends string> = Readonly<Record<State, readonly State[]>>

export const leaseTransitions: Transitions<LeaseState> = { active: ['ended'], ended: [] }

export const rotationTransitions: Transitions<RotationState> = {
  pending: ['confirmed', 'failed', 'cancelled'],
  confirmed: [],
  failed: [],
  cancelled: [],
}

/** A campaign that is paused may end too: its last rotations may be over by then. */
export const rotationCampaignTransitions: Transitions<RotationCampaignState> = {
  running: ['paused', 'aborting', 'completed'],
  paused: ['running', 'aborting', 'completed'],
  aborting: ['aborted'],
  completed: [],
  aborted: [],
}

/** rotating -> waiting: its rotation was cancelled, because somebody stored another value meanwhile. */
export const campaignItemTransitions: Transitions<CampaignItemState> = {
  waiting: ['rotating', 'confirmed', 'skipped'],
  rotating: ['confirmed', 'failed', 'waiting'],
  confirmed: [],
  failed: [],
  skipped: [],
}

/** waiting: may be offered; claimed: one instance holds it; doubt: nobody knows which version the host has. */
export const jobTransitions: Transitions<JobState> = {
  waiting: ['claimed', 'failed', 'cancelled'],
  claimed: ['confirmed', 'failed', 'doubt', 'waiting'],
  doubt: ['claimed', 'confirmed', 'failed', 'waiting'],
  confirmed: [],
  failed: [],
  cancelled: [],
}

/** What is over may be asked for again. */
export const checkTransitions: Transitions<CheckState> = {
  waiting: ['claimed', 'done', 'cancelled'],
  claimed: ['waiting', 'done', 'cancelled'],
  done: ['waiting'],
  cancelled: ['waiting'],
}

/** approved: a single-use right to check out; an edit asks anew. */
export const accessRequestTransitions: Transitions<AccessRequestState> = {
  pending: ['approved', 'denied', 'expired', 'cancelled'],
  approved: ['pending', 'denied', 'expired', 'cancelled', 'used'],
  denied: [],
  expired: [],
  cancelled: [],
  used: [],
}

export const breakGlassReviewTransitions: Transitions<'open' | 'signed'> = { open: ['signed'], signed: [] }

export const reencryptionTransitions: Transitions<'running' | 'done'> = { running: ['done'], done: [] }

export const supportAccessTransitions: Transitions<'open' | 'ended'> = { open: ['ended'], ended: [] }

export const recertificationTransitions: Transitions<RecertificationState> = { open: ['ended', 'cancelled'], ended: [], cancelled: [] }

/** A removal is final; refused: silence would have removed it, and the rules of the account did not let it. */
export const recertificationItemTransitions: Transitions<ItemDecision> = {
  open: ['keep', 'remove', 'refused', 'gone'],
  keep: ['remove'],
  remove: [],
  refused: [],
  gone: [],
}

/** failed: given up; skipped: there was nothing to send it by. */
export const deliveryTransitions: Transitions<DeliveryState> = { pending: ['delivered', 'failed', 'skipped'], delivered: [], failed: [], skipped: [] }

export const connectorTransitions: Transitions<'pending' | 'joining' | 'active' | 'revoked'> = {
  pending: ['joining', 'revoked'],
  joining: ['active', 'pending', 'revoked'],
  active: ['revoked'],
  revoked: [],
}

export const isFinal = <State extends string>(transitions: Transitions<State>, state: State): boolean => transitions[state].length === 0

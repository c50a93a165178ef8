/** Names that workers, relay and schedules agree on. Free of the SDK, so that both sides of the sandbox may import it. */

export const taskQueueOf = (suffix: string): string => `leasehold${suffix}`
/** Where attempts to reach receivers wait for their turn, so that nothing else waits behind them. */
export const sendQueueOf = (taskQueue: string): string => `${taskQueue}-send`

/** "Look": what there is to see stands in PostgreSQL, so a lost, doubled or late one changes nothing. */
export const pokeSignal = 'poke'
export interface Poke {
  /** Version of the duty that it delivers. */
  readonly version: number
}

/** Whose turn a workflow watches: ids, and nothing else. */
export interface Subject {
  readonly accountId: string
  readonly subjectId: string
}

/** Duty -> type of the workflow that it is delivered to. */
export const workflowTypes = {
  lease: 'lease',
  rotation: 'rotation',
  reencryption: 'reencryption',
  notification: 'notification',
  break_glass_review: 'breakGlassReview',
  access_request: 'accessRequest',
  support_access: 'supportAccess',
  rotation_campaign: 'rotationCampaign',
  recertification: 'recertification',
} as const
export type WorkflowKind = keyof typeof workflowTypes
export const workflowIdOf = (kind: WorkflowKind, { accountId, subjectId }: Subject): string => `${kind.replaceAll('_', '-')}:${accountId}:${subjectId}`

/** Schedule -> type of the workflow that it starts, and how often. */
export const sweeps = {
  'rotation-sweep': { workflowType: 'rotationSweep', every: '30 minutes' },
  'check-sweep': { workflowType: 'checkSweep', every: '5 minutes' },
} as const
export type Sweep = keyof typeof sweeps

/** Search attributes of the namespace and their types. They are not encrypted: ids, states and times only. */
export const searchAttributes = {
  LeaseholdAccount: 'KEYWORD',
  LeaseholdVault: 'KEYWORD',
  LeaseholdIdentity: 'KEYWORD',
  LeaseholdSubject: 'KEYWORD',
  LeaseholdState: 'KEYWORD',
  LeaseholdMode: 'KEYWORD',
  LeaseholdConnector: 'KEYWORD',
  LeaseholdExpiresAt: 'DATETIME',
  LeaseholdPendingSince: 'DATETIME',
  LeaseholdNeedsAttention: 'BOOL',
  LeaseholdBreakGlass: 'BOOL',
} as const

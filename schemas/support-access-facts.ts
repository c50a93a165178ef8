/** A support window as its workflow sees it. Ids, states and times only: it stands in workflow histories. */
export interface SupportAccessFacts {
  readonly windowId: string
  readonly state: 'open' | 'ended'
  readonly endCause: 'disabled' | 'expired' | 'emergency' | null
  /** Grows with every change of its end. */
  readonly version: number
  /** ms until its end by the clock of PostgreSQL; 0 when due, null: it has none. */
  readonly remainingMs: number | null
  /** ms until the next reminder; null: none is due any more. */
  readonly reminderInMs: number | null
}

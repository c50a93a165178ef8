import type { RecertificationState } from './states.ts'

/** A recertification as its workflow sees it. Ids, states and times only: it stands in workflow histories. */
export interface RecertificationFacts {
  readonly recertificationId: string
  readonly state: RecertificationState
  /** ms until its end by the clock of PostgreSQL; 0 when due. */
  readonly remainingMs: number
  /** ms until reviewers are reminded; null: they have been. */
  readonly reminderInMs: number | null
}

/** Where the parts of a process report what they do; server/metrics/ makes figures of it. Labels never name a tenant or a subject. */

/** Durations in seconds everywhere. */
export interface ApiMeter {
  /** @param route template of the path, never the path */
  readonly answered: (answer: { readonly method: string; readonly route: string; readonly status: number }, seconds: number) => void
  /** A checkout was decided. @param outcome `granted`, `replayed`, or a code of the error table */
  readonly checkedOut: (outcome: string, seconds: number) => void
  readonly decryptionFailed: () => void
}

export interface DutyMeter {
  readonly delivered: (kind: string, seconds: number) => void
  readonly failed: (kind: string) => void
}

export interface JobMeter {
  readonly claimGranted: () => void
  /** @param reason one of the refusals of connector messages */
  readonly claimRefused: (reason: string) => void
  readonly resultTaken: (outcome: 'recorded' | 'stale' | 'altered') => void
  readonly decryptionFailed: () => void
}

export interface ExpirerMeter {
  readonly turned: (ended: number, seconds: number) => void
}

export interface ReconcileMeter {
  readonly reconciled: (reopened: number) => void
}

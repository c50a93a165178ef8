import type { Logger } from 'pino'
import type { Metrics } from './metrics/metrics.ts'
import type { StartUp } from './start-up.ts'

/** What every role is started with. */
export interface RoleContext extends StartUp {
  readonly log: Logger
  readonly metrics: Metrics
}

export type Readiness = Readonly<Record<string, 'ok' | 'down'>>

/** A role that takes work. */
export interface RunningRole {
  /** Asks each server that this role cannot work without, within 1.5 s. */
  ready(): Promise<Readiness>
  /** Takes no new work, finishes what it has, closes everything; at most 5 s. */
  drain(): Promise<void>
}

export type StartRole = (context: RoleContext) => Promise<RunningRole>

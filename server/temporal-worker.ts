import { IllegalStateError, type DataConverter } from '@temporalio/common'
import { Runtime, Worker, type NativeConnection } from '@temporalio/worker'
import type { Logger } from 'pino'
import type { AccessRequestActivities } from '#activities/access-request.ts'
import { toFailure } from '#activities/failure.ts'
import type { BreakGlassReviewActivities } from '#activities/break-glass-review.ts'
import type { LeaseActivities } from '#activities/lease.ts'
import type { NotificationActivities } from '#activities/notification.ts'
import type { ReencryptionActivities } from '#activities/reencryption.ts'
import type { RotationActivities } from '#activities/rotation.ts'
import type { SupportAccessActivities } from '#activities/support-access.ts'
import type { SweepActivities } from '#activities/sweep.ts'

export type Activities = LeaseActivities &
  RotationActivities &
  NotificationActivities &
  ReencryptionActivities &
  SweepActivities &
  BreakGlassReviewActivities &
  AccessRequestActivities &
  SupportAccessActivities

export interface TemporalWorkerOptions {
  readonly connection: NativeConnection
  readonly namespace: string
  readonly taskQueue: string
  readonly workflowBundle: { readonly code: string }
  readonly activities: Activities
  readonly dataConverter?: DataConverter
}

/** What a worker finishes after it was told to stop, ms. */
const graceMs = 3_000

/** The worker of all workflows and activities, not yet running. */
export function createTemporalWorker(options: TemporalWorkerOptions): Promise<Worker> {
  return Worker.create({
    ...options,
    // A crashed worker's sticky queue would delay its workflows by 10 s otherwise.
    stickyQueueScheduleToStartTimeout: '2s',
    maxCachedWorkflows: 1_000,
    shutdownGraceTime: graceMs,
    shutdownForceTime: graceMs + 500,
    interceptors: {
      activity: [
        () => ({
          inbound: {
            execute: (input, next) =>
              next(input).catch((error: unknown) => {
                throw toFailure(error)
              }),
          },
        }),
      ],
    },
  })
}

/** Sends the SDK's warnings to our log, without what it would attach to them; signals stay ours. One process has one runtime at a time. */
export function installRuntime(log: Logger): void {
  const silent = () => {}
  try {
    Runtime.install({
      logger: {
        log: silent,
        trace: silent,
        debug: silent,
        info: silent,
        warn: (message, meta) => log.warn(named(message, meta)),
        error: (message, meta) => log.error(named(message, meta)),
      },
      shutdownSignals: [],
    })
  } catch (error) {
    if (!(error instanceof IllegalStateError)) throw error
  }
}

/** Names and ids only: errors of the SDK may quote what they failed on. */
function named(message: string, meta: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  const { workflowId, workflowType, activityType, error } = meta
  return { temporal: message, workflowId, workflowType, activityType, ...(error instanceof Error ? { error: error.name } : {}) }
}

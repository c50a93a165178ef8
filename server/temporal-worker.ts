import { IllegalStateError, type DataConverter } from '@temporalio/common'
import { Runtime, Worker, type ActivityInterceptors, type NativeConnection } from '@temporalio/worker'
import type { Logger } from 'pino'
import type { AccessRequestActivities } from '#activities/access-request.ts'
import { toFailure } from '#activities/failure.ts'
import type { BreakGlassReviewActivities } from '#activities/break-glass-review.ts'
import type { LeaseActivities } from '#activities/lease.ts'
import type { NotificationActivities } from '#activities/notification.ts'
import type { RecertificationActivities } from '#activities/recertification.ts'
import type { ReencryptionActivities } from '#activities/reencryption.ts'
import type { RotationCampaignActivities } from '#activities/rotation-campaign.ts'
import type { RotationActivities } from '#activities/rotation.ts'
import type { SupportAccessActivities } from '#activities/support-access.ts'
import type { SweepActivities } from '#activities/sweep.ts'
import { sendQueueOf } from '#workflows/messages.ts'

export type Activities = LeaseActivities &
  RotationActivities &
  RotationCampaignActivities &
  NotificationActivities &
  ReencryptionActivities &
  SweepActivities &
  BreakGlassReviewActivities &
  AccessRequestActivities &
  RecertificationActivities &
  SupportAccessActivities

export interface TemporalWorkerOptions {
  readonly connection: NativeConnection
  readonly namespace: string
  readonly taskQueue: string
  readonly workflowBundle: { readonly code: string }
  readonly activities: Activities
  readonly dataConverter?: DataConverter
}

export interface TemporalWorker {
  /** Ends when it was shut down. @throws Error when it gave up */
  run(): Promise<void>
  shutdown(): void
}

/** What a worker finishes after it was told to stop, ms. */
const graceMs = 3_000

/** Attempts to reach receivers at once. Those that hang keep nothing else from being done. */
const sends = 100

/** The worker of all workflows and activities, not yet running; attempts to reach somebody outside have hands of their own. */
export async function createTemporalWorker(options: TemporalWorkerOptions): Promise<TemporalWorker> {
  const { connection, namespace, taskQueue, activities, dataConverter } = options
  const common = { shutdownGraceTime: graceMs, shutdownForceTime: graceMs + 500, interceptors: { activity: [nameFailures] } }
  const workers = await Promise.all([
    Worker.create({
      ...options,
      ...common,
      // A crashed worker's sticky queue would delay its workflows by 10 s otherwise.
      stickyQueueScheduleToStartTimeout: '2s',
      maxCachedWorkflows: 1_000,
    }),
    Worker.create({
      ...common,
      connection,
      namespace,
      taskQueue: sendQueueOf(taskQueue),
      activities: { deliverNotice: activities.deliverNotice },
      maxConcurrentActivityTaskExecutions: sends,
      ...(dataConverter === undefined ? {} : { dataConverter }),
    }),
  ])
  const shutdown = (): void => {
    for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown()
  }
  return {
    // When one gives up the other one is of no use.
    run: async () => void (await Promise.all(workers.map((worker) => worker.run().finally(shutdown)))),
    shutdown,
  }
}

const nameFailures = (): ActivityInterceptors => ({
  inbound: {
    execute: (input, next) =>
      next(input).catch((error: unknown) => {
        throw toFailure(error)
      }),
  },
})

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

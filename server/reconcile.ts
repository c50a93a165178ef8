import { ScheduleAlreadyRunning, ScheduleOverlapPolicy, type Client, type ScheduleOptions } from '@temporalio/client'
import proto from '@temporalio/proto'
import type { Logger } from 'pino'
import type { ReconcileMeter } from '#schemas/meters.ts'
import type { Db } from '#store/connection.ts'
import { reopenDuties, workflowDuties } from '#store/duties.ts'
import { searchAttributes, sweepSchedule, sweepWorkflow, taskQueueOf } from '#workflows/messages.ts'
import type { Config } from './config.ts'
import type { Temporal } from './temporal.ts'

const sweepEvery = '30 minutes'

/**
 * Makes Temporal whole again after it was new, replaced or restored: search attributes, the sweep's schedule, and one poke for
 * every subject that is not final. Safe to run at any time and from several workers.
 */
export async function reconcile({
  config,
  db,
  temporal,
  log,
  meter,
}: {
  readonly config: Config
  readonly db: Db
  readonly temporal: Temporal
  readonly log: Logger
  readonly meter?: ReconcileMeter
}): Promise<void> {
  await ensureSearchAttributes(temporal.client, config.temporalNamespace)
  await ensureSweep(temporal, config.taskQueueSuffix)
  const reopened = await reopenDuties(workflowDuties, (reopen) => reopen(db))
  meter?.reconciled(reopened)
  log.info({ reopened }, 'reconciled with Temporal')
}

/** Registers what is missing; workflows that write an unknown attribute would stand still. */
export async function ensureSearchAttributes(client: Client, namespace: string): Promise<void> {
  const { operatorService } = client.connection
  const { customAttributes } = await operatorService.listSearchAttributes({ namespace })
  const missing = Object.entries(searchAttributes).filter(([name]) => !Object.hasOwn(customAttributes, name))
  if (missing.length === 0) return
  const types = Object.fromEntries(missing.map(([name, type]) => [name, proto.temporal.api.enums.v1.IndexedValueType[`INDEXED_VALUE_TYPE_${type}`]]))
  await operatorService.addSearchAttributes({ namespace, searchAttributes: types })
}

async function ensureSweep({ client }: Temporal, taskQueueSuffix: string): Promise<void> {
  const schedule: Omit<ScheduleOptions, 'scheduleId'> = {
    spec: { intervals: [{ every: sweepEvery }], jitter: '1 minute' },
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1 hour' },
    action: { type: 'startWorkflow', workflowType: sweepWorkflow, workflowId: sweepSchedule, taskQueue: taskQueueOf(taskQueueSuffix), args: [] },
  }
  await client.schedule.create({ scheduleId: sweepSchedule, ...schedule }).catch(async (error: unknown) => {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error
    // Made by an older version perhaps. Whether somebody paused it is theirs to say.
    await client.schedule.getHandle(sweepSchedule).update(({ state }) => ({ ...schedule, state }))
  })
}

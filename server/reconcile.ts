import { ScheduleAlreadyRunning, ScheduleOverlapPolicy, type Client, type ScheduleOptions } from '@temporalio/client'
import proto from '@temporalio/proto'
import type { Logger } from 'pino'
import type { ReconcileMeter } from '#schemas/meters.ts'
import type { Db } from '#store/connection.ts'
import { reopenDuties, workflowDuties } from '#store/duties.ts'
import { searchAttributes, sweeps, taskQueueOf, type Sweep } from '#workflows/messages.ts'
import type { Config } from './config.ts'
import type { Temporal } from './temporal.ts'

/**
 * Makes Temporal whole again after it was new, replaced or restored: search attributes, the schedules of the sweeps, and one poke for
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
  for (const sweep of Object.keys(sweeps) as Sweep[]) await ensureSweep(temporal, sweep, config.taskQueueSuffix)
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

async function ensureSweep({ client }: Temporal, scheduleId: Sweep, taskQueueSuffix: string): Promise<void> {
  const { workflowType, every } = sweeps[scheduleId]
  const schedule: Omit<ScheduleOptions, 'scheduleId'> = {
    spec: { intervals: [{ every }], jitter: '1 minute' },
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1 hour' },
    action: { type: 'startWorkflow', workflowType, workflowId: scheduleId, taskQueue: taskQueueOf(taskQueueSuffix), args: [] },
  }
  await client.schedule.create({ scheduleId, ...schedule }).catch(async (error: unknown) => {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error
    // Made by an older version perhaps. Whether somebody paused it is theirs to say.
    await client.schedule.getHandle(scheduleId).update(({ state }) => ({ ...schedule, state }))
  })
}

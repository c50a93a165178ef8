import { randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import proto from '@temporalio/proto'
import { NativeConnection } from '@temporalio/worker'
import { pino } from 'pino'
import { ensureSearchAttributes } from '#server/reconcile.ts'
import { createTemporalWorker, installRuntime, type Activities } from '#server/temporal-worker.ts'
import { pokeSignal, workflowIdOf, workflowTypes, type Subject, type WorkflowKind } from '#workflows/messages.ts'
import { keptBundle } from '../support/kept-bundle.ts'
import { startTemporal, type TestTemporal } from '../support/temporal.ts'

/** A real Temporal server, a worker with the real workflows, and activities as a test wants them. */
export interface Lab {
  readonly temporal: TestTemporal
  readonly taskQueue: string
  /** Starts the workflow of a subject, as the relay does, or tells it to look. */
  readonly poke: (kind: WorkflowKind, subject: Subject) => Promise<string>
  /** Lets `ms` pass for the workflow; `clock` moves first, as PostgreSQL's would. */
  readonly pass: (workflowId: string, clock: Clock, ms: number) => Promise<void>
  /** Waits until the workflow is over. @returns the name of its status */
  readonly ended: (workflowId: string) => Promise<string>
  /** Stores the history as a fixture when LEASEHOLD_RECORD_HISTORIES is set; replay.test.ts replays them. */
  readonly record: (name: string, workflowId: string) => Promise<void>
  readonly stop: () => Promise<void>
}

/** A clock that a test moves, in place of PostgreSQL's. */
export interface Clock {
  shift: number
  readonly now: () => number
}

export const createClock = (): Clock => {
  const clock: Clock = { shift: 0, now: () => Date.now() + clock.shift }
  return clock
}

export const historiesFolder = path.join(import.meta.dirname, 'histories')

/** Activities that nobody expects to be asked for. */
const unexpected: Activities = new Proxy({}, { get: (_, name) => async () => Promise.reject(new Error(`unexpected ${String(name)}`)) }) as Activities

export async function createLab(activities: Partial<Activities>): Promise<Lab> {
  installRuntime(pino({ level: 'silent' }))
  const [temporal, bundle] = await Promise.all([startTemporal(), keptBundle()])
  const { address, namespace, client } = temporal
  await ensureSearchAttributes(client, namespace)
  const native = await NativeConnection.connect({ address })
  const taskQueue = `lab-${randomUUID()}`
  const worker = await createTemporalWorker({
    connection: native,
    namespace,
    taskQueue,
    workflowBundle: bundle,
    activities: { ...allOf(unexpected), ...activities },
  })
  const running = worker.run()
  return {
    temporal,
    taskQueue,
    poke: async (kind, subject) => {
      const workflowId = workflowIdOf(kind, subject)
      await client.workflow.signalWithStart(workflowTypes[kind], { workflowId, taskQueue, args: [subject], signal: pokeSignal, signalArgs: [{ version: 1 }] })
      return workflowId
    },
    pass: async (workflowId, clock, ms) => {
      clock.shift += ms
      await temporal.skip(workflowId, ms)
    },
    ended: async (workflowId) => {
      const handle = client.workflow.getHandle(workflowId)
      await handle.result().catch(() => {})
      return (await handle.describe()).status.name
    },
    record: async (name, workflowId) => {
      if (process.env['LEASEHOLD_RECORD_HISTORIES'] === undefined) return
      const history = await client.workflow.getHandle(workflowId).fetchHistory()
      dropStacks(history)
      await mkdir(historiesFolder, { recursive: true })
      await writeFile(path.join(historiesFolder, `${name}.pb`), proto.temporal.api.history.v1.History.encode(history).finish())
    },
    stop: async () => {
      worker.shutdown()
      await running
      await native.close()
      await temporal.stop()
    },
  }
}

/** Names are listed once more because a worker asks an object for its own functions. */
const allOf = (proxy: Activities): Activities =>
  Object.fromEntries(
    [
      'lookAtLease',
      'endExpiredLease',
      'lookAtRotation',
      'stageRotation',
      'openRotationJobs',
      'lapseClaim',
      'raiseRotationAttention',
      'tellRotationStuck',
      'settleRotation',
      'sweepDueRotations',
      'sweepDueChecks',
      'lookAtReencryption',
      'resealPage',
      'finishReencryption',
      'lookAtNotice',
      'deliverNotice',
      'lookAtBreakGlassReview',
      'remindOfBreakGlassReview',
      'lookAtAccessRequest',
      'escalateAccessRequest',
      'expireAccessRequest',
      'lookAtSupportAccess',
      'remindOfSupportAccess',
      'expireSupportAccess',
      'lookAtRotationCampaign',
      'beginCampaignRotations',
      'endRotationCampaign',
      'lookAtRecertification',
      'remindOfRecertification',
      'settleRecertification',
    ].map((name) => [name, proxy[name as keyof Activities]]),
  ) as unknown as Activities

/** Waits until `check` holds. @throws Error after `limitMs` */
export async function until(check: () => boolean | Promise<boolean>, limitMs = 10_000): Promise<void> {
  const limit = Date.now() + limitMs
  while (!(await check())) {
    if (Date.now() > limit) throw new Error('it did not happen in time')
    await sleep(20)
  }
}

/** Stacks of failures name the folders of whoever records them, and replay does not read them. */
function dropStacks(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  if ('stackTrace' in value) value.stackTrace = ''
  for (const inner of Object.values(value)) dropStacks(inner)
}

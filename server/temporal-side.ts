import { NativeConnection, Runtime, Worker } from '@temporalio/worker'
import type { DataConverter } from '@temporalio/common'
import type { Logger } from 'pino'
import { toFailure } from '#activities/failure.ts'
import { createDataConverter } from '#secrets/data-converter.ts'
import type { OpenBao } from '#secrets/openbao.ts'
import type { Db } from '#store/connection.ts'
import { taskQueueOf } from '#workflows/messages.ts'
import type { Config } from './config.ts'
import { startLoop, type Loop } from './loop.ts'
import { reconcile } from './reconcile.ts'
import { startRelay } from './relay.ts'
import { connectTemporal, type Temporal } from './temporal.ts'
import { workflowBundle } from './workflow-bundle.ts'

export interface TemporalSide {
  /** There is news to relay. */
  wake(): void
  isUp(): boolean
  stop(): Promise<void>
}

export interface TemporalSideOptions {
  readonly config: Config
  readonly log: Logger
  readonly bao: OpenBao
  /** Pool of leasehold_relay. */
  readonly relay: Db
  readonly activities: object
}

interface Running { readonly worker: Worker; readonly ended: Promise<void>; readonly native: NativeConnection; readonly temporal: Temporal; readonly relay: Loop; readonly reconciling: Loop }

const retryEvery = 1_000
const reconcileEvery = 3_600_000
const graceMs = 3_000

/**
 * The parts that need Temporal: worker, relay, reconciliation. They start as soon as Temporal and OpenBao answer, and start
 * again when the worker gives up.
 */
export function startTemporalSide(options: TemporalSideOptions): TemporalSide {
  Runtime.install({ logger: { log: () => {}, trace: () => {}, debug: () => {}, info: () => {}, warn: (message) => options.log.warn({ temporal: message }), error: (message) => options.log.error({ temporal: message }) }, shutdownSignals: [] })
  let running: Running | undefined
  const starting = startLoop({
    name: 'temporal', everyMs: retryEvery, log: options.log,
    turn: async () => {
      if (running === undefined) {
        running = await start(options)
        const mine = running
        mine.ended.catch((error: unknown) => options.log.error({ err: error }, 'the Temporal worker ended')).finally(() => {
          if (running !== mine) return
          running = undefined
          void stop(mine)
        })
      }
      return false
    },
  })
  return {
    wake: () => running?.relay.wake(),
    isUp: () => running !== undefined,
    stop: async () => {
      await starting.stop()
      const last = running
      running = undefined
      if (last !== undefined) await stop(last)
    },
  }
}

async function start({ config, log, bao, relay, activities }: TemporalSideOptions): Promise<Running> {
  const dataConverter = await createDataConverter(bao)
  const bundle = await workflowBundle(config.cacheDirectory)
  const temporal = await connectTemporal(config, dataConverter)
  const native = await NativeConnection.connect({ address: config.temporalAddress })
  // Before the worker, because workflows write search attributes.
  await reconcile({ config, db: relay, temporal, log })
  const worker = await createWorker({ config, native, dataConverter, bundle, activities })
  const reconciling = startReconciling(() => reconcile({ config, db: relay, temporal, log }), log)
  const relaying = startRelay({ db: relay, temporal, taskQueueSuffix: config.taskQueueSuffix, log, onNewNamespace: () => reconciling.wake() })
  return { worker, ended: worker.run(), native, temporal, relay: relaying, reconciling }
}

/** The first turn passes: the start has reconciled. */
function startReconciling(run: () => Promise<void>, log: Logger): Loop {
  let first = true
  return startLoop({
    name: 'reconcile', everyMs: reconcileEvery, log,
    turn: async () => {
      if (!first) await run()
      first = false
      return false
    },
  })
}

function createWorker(
  { config, native, dataConverter, bundle, activities }:
  { readonly config: Config; readonly native: NativeConnection; readonly dataConverter: DataConverter; readonly bundle: { readonly code: string }; readonly activities: object },
): Promise<Worker> {
  return Worker.create({
    connection: native, namespace: config.temporalNamespace, taskQueue: taskQueueOf(config.taskQueueSuffix), workflowBundle: bundle, activities, dataConverter,
    // A crashed worker's sticky queue would delay its workflows by 10 s otherwise.
    stickyQueueScheduleToStartTimeout: '2s', maxCachedWorkflows: 1_000, shutdownGraceTime: graceMs, shutdownForceTime: graceMs + 500,
    interceptors: {
      activity: [() => ({
        inbound: {
          execute: (input, next) => next(input).catch((error: unknown) => {
            throw toFailure(error)
          }),
        },
      })],
    },
  })
}

async function stop({ worker, ended, native, temporal, relay, reconciling }: Running): Promise<void> {
  await Promise.all([relay.stop(), reconciling.stop()])
  if (worker.getState() === 'RUNNING') worker.shutdown()
  await ended.catch(() => {})
  await Promise.all([native.close(), temporal.close()])
}

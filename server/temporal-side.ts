import { NativeConnection } from '@temporalio/worker'
import type { Logger } from 'pino'
import type { DutyMeter, ReconcileMeter } from '#schemas/meters.ts'
import { createDataConverter } from '#secrets/data-converter.ts'
import type { OpenBao } from '#secrets/openbao.ts'
import type { Db } from '#store/connection.ts'
import { taskQueueOf } from '#workflows/messages.ts'
import type { Config } from './config.ts'
import { startLoop, type Loop } from './loop.ts'
import { reconcile } from './reconcile.ts'
import { startRelay } from './relay.ts'
import { createTemporalWorker, installRuntime, type Activities, type TemporalWorker } from './temporal-worker.ts'
import { nativeLink, type TemporalAddress, type TemporalTls } from './temporal-link.ts'
import { connectTemporal, type Temporal } from './temporal.ts'
import { workflowBundle } from './workflow-bundle.ts'

export interface TemporalSide {
  /** There is news to relay. */
  wake(): void
  /** Whether the worker runs and Temporal answers within 1.5 s. */
  isUp(): Promise<boolean>
  stop(): Promise<void>
}

export interface TemporalSideOptions {
  readonly config: Config
  readonly temporalTls: TemporalTls | undefined
  readonly log: Logger
  readonly bao: OpenBao
  /** Pool of leasehold_relay. */
  readonly relay: Db
  readonly activities: Activities
  readonly meters: { readonly duties: DutyMeter; readonly reconcile: ReconcileMeter }
}

interface Running {
  readonly worker: TemporalWorker
  readonly ended: Promise<void>
  readonly native: { close(): Promise<void> }
  readonly temporal: Temporal
  readonly relay: Loop
  readonly reconciling: Loop
}

const retryEvery = 1_000
const reconcileEvery = 3_600_000
const checkLimit = 1_500

/**
 * The parts that need Temporal: worker, relay, reconciliation. They start as soon as Temporal and OpenBao answer, and start
 * again when the worker gives up.
 */
export function startTemporalSide(options: TemporalSideOptions): TemporalSide {
  const { log } = options
  let running: Running | undefined
  let clearing: Promise<void> = Promise.resolve()

  function clear(): Promise<void> {
    const last = running
    running = undefined
    if (last !== undefined) clearing = stop(last)
    return clearing
  }

  const starting = startLoop({
    name: 'temporal',
    everyMs: retryEvery,
    log,
    turn: async () => {
      if (running !== undefined) return false
      await clearing
      const mine = await start(options)
      running = mine
      mine.ended
        .catch((error: unknown) => log.error({ err: error }, 'the Temporal worker ended'))
        .finally(() => {
          if (running === mine) void clear()
        })
      return false
    },
  })
  return {
    wake: () => running?.relay.wake(),
    isUp: async () =>
      (await running?.temporal.namespaceId(checkLimit).then(
        () => true,
        () => false,
      )) ?? false,
    stop: async () => {
      await starting.stop()
      await clear()
    },
  }
}

async function start({ config, temporalTls, log, bao, relay, activities, meters }: TemporalSideOptions): Promise<Running> {
  const dataConverter = await createDataConverter(bao)
  const bundle = await workflowBundle(config.cacheDirectory)
  const address = { address: config.temporalAddress, tls: temporalTls }
  const temporal = await connectTemporal(address, config.temporalNamespace, dataConverter)
  installRuntime(log)
  const native = await connectNative(address)
  const restore = () => reconcile({ config, db: relay, temporal, log, meter: meters.reconcile })
  try {
    // Before the worker, because workflows write search attributes.
    await restore()
    const { temporalNamespace: namespace, taskQueueSuffix } = config
    const worker = await createTemporalWorker({
      connection: native.connection,
      namespace,
      taskQueue: taskQueueOf(taskQueueSuffix),
      workflowBundle: bundle,
      activities,
      dataConverter,
    })
    const reconciling = startReconciling(restore, log)
    const relaying = startRelay({ db: relay, temporal, taskQueueSuffix, log, meter: meters.duties, onNewNamespace: reconciling.wake })
    return { worker, ended: worker.run(), native, temporal, relay: relaying, reconciling }
  } catch (error) {
    await Promise.all([native.close(), temporal.close()])
    throw error
  }
}

/** @throws Error when Temporal does not answer, or not as `address` asks for */
export async function connectNative(address: TemporalAddress): Promise<{ readonly connection: NativeConnection; close(): Promise<void> }> {
  const link = await nativeLink(address)
  try {
    const connection = await NativeConnection.connect(link.options)
    return { connection, close: () => connection.close().finally(link.close) }
  } catch (error) {
    link.close()
    throw error
  }
}

/** The first turn passes: the start has reconciled. */
function startReconciling(run: () => Promise<void>, log: Logger): Loop {
  let first = true
  return startLoop({
    name: 'reconcile',
    everyMs: reconcileEvery,
    log,
    turn: async () => {
      if (!first) await run()
      first = false
      return false
    },
  })
}

async function stop({ worker, ended, native, temporal, relay, reconciling }: Running): Promise<void> {
  await Promise.all([relay.stop(), reconciling.stop()])
  worker.shutdown()
  await ended.catch(() => {})
  await Promise.all([native.close(), temporal.close()])
}

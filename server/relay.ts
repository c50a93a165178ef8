import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client'
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common'
import type { Logger } from 'pino'
import type { DutyMeter } from '#schemas/meters.ts'
import type { Db } from '#store/connection.ts'
import { claimDuties, recordDelivered, recordFailure, returnDuty, workflowDuties, type Duty } from '#store/duties.ts'
import { recordTemporalCall } from '#store/relay-state.ts'
import { pokeSignal, taskQueueOf, workflowIdOf, workflowTypes, type Poke, type Subject, type WorkflowKind } from '#workflows/messages.ts'
import { startLoop, type Loop } from './loop.ts'
import type { Temporal } from './temporal.ts'

const account = defineSearchAttributeKey('LeaseholdAccount', SearchAttributeType.KEYWORD)
const subject = defineSearchAttributeKey('LeaseholdSubject', SearchAttributeType.KEYWORD)

const batch = 50
const holdMs = 30_000
const idleHeartbeat = 5_000
/** A Temporal that hangs is a Temporal that is down, ms. */
const answerLimit = 5_000

export interface RelayOptions {
  /** Pool of leasehold_relay. */
  readonly db: Db
  readonly temporal: Temporal
  readonly taskQueueSuffix: string
  readonly log: Logger
  readonly meter?: DutyMeter
  /** The namespace is another one than at the last call: Temporal lost everything it had. */
  readonly onNewNamespace: () => void
}

/**
 * Carries duties from PostgreSQL to Temporal: start the subject's workflow or signal it to look. Delivering twice is harmless.
 * Each good call is the heartbeat that standard checkouts depend on.
 */
export function startRelay({ db, temporal, taskQueueSuffix, log, meter, onNewNamespace }: RelayOptions): Loop {
  let lastBeat = 0

  async function beat(): Promise<void> {
    const { namespaceChanged } = await recordTemporalCall(db, await temporal.namespaceId())
    lastBeat = performance.now()
    if (namespaceChanged) onNewNamespace()
  }

  async function deliver(duty: Duty): Promise<void> {
    const began = performance.now()
    try {
      await poke(temporal, taskQueueSuffix, duty)
      // crash point: duty delivered
      await recordDelivered(db, duty)
      meter?.delivered(duty.kind, (performance.now() - began) / 1_000)
    } catch (error) {
      if (isUnavailable(error)) {
        await returnDuty(db, duty, 1_000)
        throw error
      }
      const code = codeOf(error)
      meter?.failed(duty.kind)
      const { kind, subjectId } = duty
      if (await recordFailure(db, duty, code)) log.error({ kind, subjectId, code }, 'duty quarantined')
      else log.warn({ kind, subjectId, code, attempts: duty.attempts + 1 }, 'duty not delivered')
    }
  }

  return startLoop({
    name: 'relay',
    everyMs: 250,
    log,
    turn: async () => {
      if (performance.now() - lastBeat >= idleHeartbeat) await beat()
      const duties = await claimDuties(db, workflowDuties, { limit: batch, holdMs })
      const deliveries = await Promise.allSettled(duties.map(deliver))
      const failed = deliveries.find((delivery) => delivery.status === 'rejected')
      if (failed !== undefined) throw failed.reason
      return duties.length === batch
    },
  })
}

/** Starts the workflow of the subject, or tells it to look. */
export async function poke({ client }: Pick<Temporal, 'client'>, taskQueueSuffix: string, duty: Duty): Promise<void> {
  const kind = duty.kind as WorkflowKind
  const of: Subject = { accountId: duty.accountId, subjectId: duty.subjectId }
  const signalArgs: [Poke] = [{ version: duty.version }]
  const start = () =>
    client.workflow.signalWithStart(workflowTypes[kind], {
      workflowId: workflowIdOf(kind, of),
      taskQueue: taskQueueOf(taskQueueSuffix),
      args: [of],
      signal: pokeSignal,
      signalArgs,
      workflowIdReusePolicy: 'ALLOW_DUPLICATE_FAILED_ONLY',
      typedSearchAttributes: [
        { key: account, value: duty.accountId },
        { key: subject, value: duty.subjectId },
      ],
    })
  await client.withDeadline(Date.now() + answerLimit, start).catch((error: unknown) => {
    // Its workflow has completed, which it does for a final subject only: there is nothing left to look at.
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error
  })
}

/** gRPC 4 deadline exceeded, 8 resource exhausted, 14 unavailable: Temporal's trouble, not the subject's. */
function isUnavailable(error: unknown): boolean {
  const status = grpcStatus(error)
  return status === 4 || status === 8 || status === 14
}

function grpcStatus(error: unknown): number | undefined {
  const { code, cause } = (error ?? {}) as { code?: unknown; cause?: { code?: unknown } }
  const status = typeof code === 'number' ? code : cause?.code
  return typeof status === 'number' ? status : undefined
}

/** For the log and the row: a class and a status, never a message. */
function codeOf(error: unknown): string {
  const status = grpcStatus(error)
  const name = error instanceof Error ? error.name : 'unknown'
  return status === undefined ? name : `${name} ${status}`
}

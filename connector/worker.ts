import { createHmac } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { JSONWebKeySet } from 'jose'
import type { Logger } from 'pino'
import {
  resultText,
  type ClaimAnswer,
  type ClaimRequest,
  type JobResult,
  type Offer,
  type OfferAnswer,
  type ResultAnswer,
  type SealedJob,
} from '#schemas/connector-message.ts'
import type { Adapter } from './adapters/adapter.ts'
import type { AllowList } from './allow-list.ts'
import type { IdentityFile } from './identity-file.ts'
import type { Journal, JournalEntry } from './journal.ts'
import type { JobOutcome } from './run-job.ts'
import { openSealedJob } from './sealed-job.ts'
import { runTimedJob } from './timed-job.ts'

/** What the worker asks the control plane; both fail when it does not answer. */
export interface ControlPlane {
  readonly claim: (request: ClaimRequest) => Promise<ClaimAnswer>
  /** Asks until it is answered. */
  readonly report: (result: JobResult) => Promise<ResultAnswer>
}

export interface WorkerParts {
  readonly connectorId: string
  readonly instance: string
  readonly encryptionKey: IdentityFile['encryptionKey']
  /** Public keys of the control plane, from the join. */
  readonly signingKeys: JSONWebKeySet
  readonly adapters: Readonly<Record<string, Adapter>>
  readonly allowList: AllowList
  readonly journal: Journal
  readonly controlPlane: ControlPlane
  readonly log: Logger
}

export interface Worker {
  /** Takes an offer or says why not; the work goes on by itself. */
  readonly take: (offer: Offer) => OfferAnswer
  /** Sends what an earlier instance had finished but could not get acknowledged. */
  readonly resend: () => Promise<void>
  /** Takes nothing more; ends when the work in hand is done. */
  readonly drain: () => Promise<void>
}

const maximumJobs = 16
const claimAttempts = 3
/** Kept between our last moment to send a change and the control plane's end of the claim, ms. */
const margin = 2_000

type Step = Pick<JournalEntry, 'jobId' | 'epoch' | 'instance'>

export function createWorker(parts: WorkerParts): Worker {
  const running = new Map<string, Promise<void>>()
  let draining = false
  const refuse = (why: OfferAnswer['why']): OfferAnswer => ({ v: 1, accepted: false, why })

  return {
    take: (offer) => {
      if (draining) return refuse('draining')
      if (offer.epoch <= parts.journal.claimedEpoch(offer.jobId)) return refuse('stale')
      if (running.size >= maximumJobs || running.has(offer.jobId)) return refuse('busy')
      const work = doJob(parts, offer)
        .catch((error: unknown) => parts.log.warn({ err: error, jobId: offer.jobId }, 'job interrupted'))
        .finally(() => running.delete(offer.jobId))
      running.set(offer.jobId, work)
      return { v: 1, accepted: true }
    },
    resend: async () => {
      const results = parts.journal.open().flatMap(({ jobId, result }) => (result === undefined || running.has(jobId) ? [] : [result]))
      // Side by side: one that gets no answer holds up no other.
      await Promise.allSettled(results.map((result) => report(parts, result)))
    },
    drain: async () => {
      draining = true
      await Promise.all(running.values())
    },
  }
}

async function doJob(parts: WorkerParts, { jobId, epoch }: Offer): Promise<void> {
  const { journal, controlPlane, instance, log } = parts
  const step: Step = { jobId, epoch, instance }
  journal.append({ ...step, state: 'received' })
  // crash point: job received
  const elapsed = stopwatch()
  const answer = await claim(controlPlane, { v: 1, ...step })
  if ('refused' in answer) {
    journal.append({ ...step, state: 'reported', unclaimed: true })
    return log.info({ jobId, epoch, refused: answer.refused }, 'claim refused')
  }
  journal.append({ ...step, state: 'claimed' })
  // crash point: job claimed
  const job = await openSealedJob(parts, answer.jwe, step)
  const remaining = (): number => job.deadlineMs - margin - elapsed()
  const outcome = await runTimedJob(job, {
    adapters: parts.adapters,
    allowList: parts.allowList,
    remaining,
    step: (state) => journal.append({ ...step, state }),
  })
  log.info({ jobId, epoch, kind: job.kind, outcome: outcome.outcome, reasonClass: outcome.reasonClass }, 'job done')
  await report(parts, finish(parts, job, step, outcome))
}

/** An answer that was lost is asked for again: the same claim gets the same one. */
async function claim(controlPlane: ControlPlane, request: ClaimRequest): Promise<ClaimAnswer> {
  for (let attempt = 1; ; attempt++) {
    const answer: ClaimAnswer = await controlPlane.claim(request).catch(() => ({ v: 1, refused: 'unavailable' }))
    if (attempt === claimAttempts || !('refused' in answer) || answer.refused !== 'unavailable') return answer
    await sleep(1_000)
  }
}

/** The result is on disk before it is sent: whoever starts after us can send it again. */
function finish({ connectorId, journal }: WorkerParts, job: SealedJob, step: Step, outcome: JobOutcome): JobResult {
  const open = { v: 1 as const, ...step, ...outcome, macKeyId: job.macKeyId }
  const mac = createHmac('sha256', Buffer.from(job.macKey, 'base64url')).update(resultText(connectorId, open)).digest('base64url')
  const result = { ...open, mac }
  journal.append({ ...step, state: 'verified', result })
  // crash point: job verified
  return result
}

async function report({ controlPlane, journal, log }: WorkerParts, result: JobResult): Promise<void> {
  const answer = await controlPlane.report(result)
  // crash point: job acknowledged
  const { jobId, epoch, instance } = result
  if ('refused' in answer) log.error({ jobId, epoch, refused: answer.refused }, 'result refused')
  journal.append({ jobId, epoch, instance, state: 'reported' })
}

/** ms since now. The greater of two clocks: one stands still while the machine sleeps, the other can be set back. */
function stopwatch(): () => number {
  const monotonic = performance.now()
  const wall = Date.now()
  return () => Math.max(performance.now() - monotonic, Date.now() - wall)
}

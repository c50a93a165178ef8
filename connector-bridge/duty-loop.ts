import type { Logger } from 'pino'
import { LeaseholdError } from '#schemas/errors.ts'
import type { DutyMeter } from '#schemas/meters.ts'
import type { Db } from '#store/connection.ts'
import { claimDuties, recordDelivered, recordFailure, returnDuty, type Duty } from '#store/duties.ts'

export interface DutyLoopParts {
  readonly db: Db
  readonly fulfil: (duty: Duty) => Promise<void>
  /** Waits until there may be news, at most so many ms. */
  readonly wait: (limit: number) => Promise<void>
  readonly log: Logger
  readonly meter?: DutyMeter
}

export interface DutyLoop {
  /** Takes no more duties; ends when those in hand are done. */
  readonly stop: () => Promise<void>
}

const batch = 32
/** Longer than the slowest duty. */
const hold = 15_000
const pollEvery = 250
const outagePause = 1_000

/** Fulfils the bridge's duties as long as it runs. Several loops share them. */
export function startDutyLoop({ db, fulfil, wait, log, meter }: DutyLoopParts): DutyLoop {
  let stopped = false
  const inHand = new Set<Promise<void>>()

  async function attend(duty: Duty): Promise<void> {
    const began = performance.now()
    try {
      await fulfil(duty)
      await recordDelivered(db, duty)
      meter?.delivered(duty.kind, (performance.now() - began) / 1_000)
    } catch (error) {
      log.warn({ err: error, kind: duty.kind, subjectId: duty.subjectId, attempts: duty.attempts }, 'duty not fulfilled')
      if (isOutage(error)) return returnDuty(db, duty, outagePause)
      meter?.failed(duty.kind)
      if (await recordFailure(db, duty, nameOf(error))) log.error({ kind: duty.kind, subjectId: duty.subjectId }, 'duty quarantined')
    }
  }

  async function run(): Promise<void> {
    while (!stopped) {
      const free = batch - inHand.size
      const duties = free > 0 ? await claimDuties(db, ['offer', 'connector'], { limit: free, holdMs: hold }).catch(() => []) : []
      for (const duty of duties) {
        // What could not even be written down is free again when its hold is over.
        const work = attend(duty)
          .catch(() => {})
          .finally(() => inHand.delete(work))
        inHand.add(work)
      }
      if (duties.length === 0) await wait(pollEvery)
    }
    await Promise.all(inHand)
  }

  const running = run()
  return {
    stop: async () => {
      stopped = true
      await running
    },
  }
}

/** A server that is down says nothing about the subject. */
const isOutage = (error: unknown): boolean =>
  error instanceof LeaseholdError
    ? error.code === 'dependency-unavailable' || error.code === 'busy'
    : /Connection|Timeout|NoResponders|Authorization|RequestError/.test(nameOf(error))

function nameOf(error: unknown): string {
  return error instanceof LeaseholdError ? error.code : error instanceof Error ? error.name : 'unknown'
}

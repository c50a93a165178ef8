import type { Logger } from 'pino'
import { LeaseholdError } from '#schemas/errors.ts'
import type { AccountId, LeaseId } from '#schemas/ids.ts'
import type { ExpirerMeter } from '#schemas/meters.ts'
import { inAccount, type Db } from '#store/connection.ts'
import { endDueLeases } from '#store/release-lease.ts'
import { listOverdueLeases, type OverdueLease } from '#store/sweep.ts'
import { startLoop, type Loop } from './loop.ts'

const page = 2_000
/** Leases of one account that one transaction ends: for so long their identities are locked, which a checkout waits for. */
const batchSize = 100
const lanes = 3

const actor = { kind: 'system', id: 'expirer' } as const

export interface ExpirerOptions {
  /** Pool of leasehold_expirer. */
  readonly expirer: Db
  /** Pool of leasehold_worker. */
  readonly worker: Db
  readonly log: Logger
  readonly meter?: ExpirerMeter
  readonly onEnded: () => void
}

/**
 * Ends overdue leases by PostgreSQL's clock alone, whatever Temporal does: the workflow's timer is the other clock, and
 * whichever comes second finds the lease ended. A lease whose identity is busy right now is found again in a second.
 */
export function startExpirer({ expirer, worker, log, meter, onEnded }: ExpirerOptions): Loop {
  async function endBatch({ accountId, leaseIds }: Batch): Promise<number> {
    try {
      return await inAccount(worker, accountId, (trx) => endDueLeases(trx, leaseIds, actor))
    } catch (error) {
      if (error instanceof LeaseholdError && error.code === 'dependency-unavailable') throw error
      if (leaseIds.length > 1)
        return sum(
          leaseIds.map((leaseId) => () => endBatch({ accountId, leaseIds: [leaseId] })),
          1,
        )
      log.warn({ leaseId: leaseIds[0], err: error }, 'an overdue lease could not be ended')
      return 0
    }
  }

  return startLoop({
    name: 'expirer',
    everyMs: 1_000,
    log,
    turn: async () => {
      const began = performance.now()
      let last: OverdueLease | undefined
      let missed = 0
      let found = 0
      do {
        const due = await listOverdueLeases(expirer, page, last)
        const ended = await sum(
          batchesOf(due).map((batch) => () => endBatch(batch)),
          lanes,
        )
        if (ended > 0) onEnded()
        found += ended
        missed += due.length - ended
        last = due.length === page ? due.at(-1) : undefined
      } while (last !== undefined)
      meter?.turned(found, (performance.now() - began) / 1_000)
      // Another batch may have held the lock of the same identity.
      return found > 0 && missed > 0
    },
  })
}

interface Batch {
  readonly accountId: AccountId
  readonly leaseIds: readonly LeaseId[]
}

/** Batches of one account each, the accounts in turns: one with thousands does not keep the others waiting. */
function batchesOf(due: readonly OverdueLease[]): Batch[] {
  const accounts = Map.groupBy(due, (lease) => lease.accountId)
  const batches = [...accounts].flatMap(([accountId, leases]) =>
    Array.from({ length: Math.ceil(leases.length / batchSize) }, (_, turn) => ({
      turn,
      accountId,
      leaseIds: leases.slice(turn * batchSize, (turn + 1) * batchSize).map((lease) => lease.leaseId),
    })),
  )
  return batches.sort((one, other) => one.turn - other.turn)
}

/** Runs tasks in `count` lanes. @returns the sum of their answers */
async function sum(tasks: readonly (() => Promise<number>)[], count: number): Promise<number> {
  let next = 0
  let total = 0
  const lane = async () => {
    for (let task = tasks[next++]; task !== undefined; task = tasks[next++]) total += await task()
  }
  await Promise.all(Array.from({ length: count }, lane))
  return total
}

import type { Logger } from 'pino'
import type { AccountId, LeaseId } from '#schemas/ids.ts'
import { inAccount, type Db } from '#store/connection.ts'
import { releaseLease } from '#store/release-lease.ts'
import { listOverdueLeases } from '#store/sweep.ts'
import { startLoop, type Loop } from './loop.ts'

const batch = 500
const parallel = 8

/**
 * Ends overdue leases by PostgreSQL's clock alone, whatever Temporal does: the workflow's timer is the other clock, and
 * whichever comes second finds the lease ended.
 *
 * @param expirer pool of leasehold_expirer
 * @param worker pool of leasehold_worker
 */
export function startExpirer({
  expirer,
  worker,
  log,
  onEnded,
}: {
  readonly expirer: Db
  readonly worker: Db
  readonly log: Logger
  readonly onEnded: () => void
}): Loop {
  return startLoop({
    name: 'expirer',
    everyMs: 1_000,
    log,
    turn: async () => {
      const due = await listOverdueLeases(expirer, batch)
      const ends = due.map(
        ({ accountId, leaseId }) =>
          () =>
            endLease(worker, accountId, leaseId),
      )
      const ended = await inLanes(ends, parallel)
      if (ended > 0) onEnded()
      return due.length === batch && ended > 0
    },
  })
}

/** A lease whose identity is busy right now is found again in a second. */
async function endLease(worker: Db, accountId: AccountId, leaseId: LeaseId): Promise<boolean> {
  const lease = await inAccount(worker, accountId, (trx) => releaseLease(trx, { leaseId, cause: 'expired', actor: { kind: 'system', id: 'expirer' } })).catch(
    () => undefined,
  )
  // crash point: lease expired
  return lease?.state === 'ended'
}

/** Runs tasks in `count` lanes. @returns how many answered true */
async function inLanes(tasks: readonly (() => Promise<boolean>)[], count: number): Promise<number> {
  let next = 0
  let done = 0
  const lane = async () => {
    for (let task = tasks[next++]; task !== undefined; task = tasks[next++]) if (await task()) done += 1
  }
  await Promise.all(Array.from({ length: count }, lane))
  return done
}

import type { Logger } from 'pino'
import { LeaseholdError } from '#schemas/errors.ts'
import { inAccount, type Db } from '#store/connection.ts'
import { expireSupportAccess, listOverdueSupport } from '#store/support-access.ts'
import { startLoop, type Loop } from './loop.ts'

const actor = { kind: 'system', id: 'support-expirer' } as const

/**
 * Ends support windows whose time is over, by PostgreSQL's clock alone: none expires silently because Temporal is down. Nobody
 * can use such a window in the meantime either. One that cannot be ended right now keeps no other from it, and is found again in
 * a second.
 *
 * @param onEnded there are leases to look at, and people to tell
 */
export function startSupportExpirer({
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
  /** @returns whether it was this call that ended it */
  async function end({ accountId, windowId }: Overdue): Promise<boolean> {
    try {
      return await inAccount(worker, accountId, (trx) => expireSupportAccess(trx, windowId, actor))
    } catch (error) {
      if (error instanceof LeaseholdError && error.code === 'dependency-unavailable') throw error
      log.warn({ windowId, err: error }, 'an overdue support window could not be ended')
      return false
    }
  }

  return startLoop({
    name: 'support expirer',
    everyMs: 1_000,
    log,
    turn: async () => {
      let ended = 0
      for (const window of await listOverdueSupport(expirer)) if (await end(window)) ended += 1
      if (ended > 0) onEnded()
      return false
    },
  })
}

type Overdue = Awaited<ReturnType<typeof listOverdueSupport>>[number]

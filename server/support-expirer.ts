import type { Logger } from 'pino'
import { inAccount, type Db } from '#store/connection.ts'
import { expireSupportAccess, listOverdueSupport } from '#store/support-access.ts'
import { startLoop, type Loop } from './loop.ts'

const actor = { kind: 'system', id: 'support-expirer' } as const

/**
 * Ends support windows whose time is over, by PostgreSQL's clock alone: none expires silently because Temporal is down. Nobody
 * can use such a window in the meantime either.
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
  return startLoop({
    name: 'support expirer',
    everyMs: 1_000,
    log,
    turn: async () => {
      const due = await listOverdueSupport(expirer)
      for (const { accountId, windowId } of due) await inAccount(worker, accountId, (trx) => expireSupportAccess(trx, windowId, actor))
      if (due.length > 0) onEnded()
      return false
    },
  })
}

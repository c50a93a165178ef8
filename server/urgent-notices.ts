import type { Logger } from 'pino'
import type { Send } from '#activities/channels/send.ts'
import { deliver } from '#activities/notification.ts'
import type { Db } from '#store/connection.ts'
import { listLateUrgent } from '#store/notice-delivery.ts'
import { settledSoon } from './first-tries.ts'
import { startLoop, type Loop } from './loop.ts'

/** So long after it was due a message is late, ms: whoever raised it, and its workflow, had their turn. */
const lateAfter = 3_000
const batch = 100

export interface UrgentNoticesOptions {
  /** Pool of leasehold_expirer: finds what is late in all accounts. */
  readonly expirer: Db
  /** Pool of leasehold_worker. */
  readonly worker: Db
  readonly send: Send
  readonly log: Logger
}

/**
 * Sends messages of critical notices that nobody has sent in time: those that a bridge or a worker raised, or an API process that
 * died after its commit, while Temporal is away. Attempts run beside each other; nobody waits for one that hangs.
 */
export function startUrgentNotices({ expirer, worker, send, log }: UrgentNoticesOptions): Loop {
  const sending = new Map<string, Promise<void>>()
  const loop = startLoop({
    name: 'urgent notices',
    everyMs: 1_000,
    log,
    turn: async () => {
      for (const { accountId, deliveryId } of await listLateUrgent(expirer, lateAfter, batch)) {
        if (sending.has(deliveryId) || sending.size >= batch) continue
        const sent = deliver({ db: worker, send }, accountId, deliveryId)
          .catch((error: unknown) => log.warn({ deliveryId, err: error }, 'an urgent message was not sent'))
          .finally(() => sending.delete(deliveryId))
        sending.set(deliveryId, sent)
      }
      return false
    },
  })
  return {
    wake: loop.wake,
    stop: async () => {
      await loop.stop()
      await settledSoon(sending.values())
    },
  }
}

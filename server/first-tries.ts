import type { Logger } from 'pino'
import { deliverAll } from '#activities/notification.ts'
import type { Send } from '#activities/channels/send.ts'
import type { AccountId } from '#schemas/ids.ts'
import type { Db } from '#store/connection.ts'

/** Attempts that this process makes by itself, right after it has committed what people must be told. */
export interface FirstTries {
  announce(accountId: AccountId, noticeIds: readonly string[]): void
  /** Returns when those that run are over. What is not sent then is sent by the workflow. */
  settled(): Promise<void>
}

export function createFirstTries({ db, send, log }: { readonly db: Db; readonly send: Send; readonly log: Logger }): FirstTries {
  const running = new Set<Promise<void>>()

  function begin(accountId: AccountId, noticeId: string): void {
    const tried = deliverAll({ db, send }, accountId, noticeId)
      .catch((error: unknown) => log.warn({ noticeId, err: error }, 'a notice was not tried at once'))
      .finally(() => running.delete(tried))
    running.add(tried)
  }

  return {
    announce: (accountId, noticeIds) => noticeIds.forEach((noticeId) => begin(accountId, noticeId)),
    settled: async () => void (await Promise.allSettled(running)),
  }
}

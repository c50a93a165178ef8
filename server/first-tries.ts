import type { Logger } from 'pino'
import { deliverAll } from '#activities/notification.ts'
import type { Send } from '#activities/channels/send.ts'
import type { AccountId } from '#schemas/ids.ts'
import type { Db } from '#store/connection.ts'

/** Attempts that this process makes by itself, right after it has committed what people must be told. */
export interface FirstTries {
  announce(accountId: AccountId, noticeIds: readonly string[]): void
  /** Returns when those that run are over, or take too long. What is not sent then is sent by the workflow. */
  settled(): Promise<void>
}

/** A process that is told to stop does not wait for a receiver that hangs, ms: what it holds is free again after a while. */
const patience = 2_000

/** Waits for the end of sends, but not long. */
export async function settledSoon(sends: Iterable<Promise<unknown>>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, patience)
  })
  await Promise.race([Promise.allSettled(sends), late])
  clearTimeout(timer)
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
    settled: () => settledSoon(running),
  }
}

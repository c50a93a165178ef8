import { errors, LeaseholdError } from '#schemas/errors.ts'
import { AccountId } from '#schemas/ids.ts'
import type { NoticeFacts } from '#schemas/notice-facts.ts'
import { inAccount, type Db } from '#store/connection.ts'
import { claimDelivery, readNoticeFacts, recordOutcome } from '#store/notice-delivery.ts'
import type { Subject } from '#workflows/messages.ts'
import type { Send } from './channels/send.ts'

export interface NotificationActivities {
  lookAtNotice(subject: Subject): Promise<NoticeFacts>
  /** One attempt, unless somebody else makes it. */
  deliverNotice(subject: Subject, deliveryId: string): Promise<void>
}

/** @param db pool of leasehold_worker */
export function createNotificationActivities({ db, send }: { readonly db: Db; readonly send: Send }): NotificationActivities {
  return {
    async lookAtNotice(subject) {
      const facts = await inAccount(db, AccountId.parse(subject.accountId), (trx) => readNoticeFacts(trx, subject.subjectId))
      if (facts === undefined) throw new LeaseholdError('not-found')
      return facts
    },
    deliverNotice: (subject, deliveryId) => deliver({ db, send }, AccountId.parse(subject.accountId), deliveryId),
  }
}

/** Takes a message, sends it, and writes down what it was answered. Whoever dies in between leaves it to the next attempt. */
export async function deliver({ db, send }: { readonly db: Db; readonly send: Send }, accountId: AccountId, deliveryId: string): Promise<void> {
  const claim = await inAccount(db, accountId, (trx) => claimDelivery(trx, deliveryId))
  if (claim === undefined) return
  // crash point: notice claimed
  const outcome = await send(accountId, claim.notice, claim.target)
  // crash point: notice sent
  await persistently(() => inAccount(db, accountId, (trx) => recordOutcome(trx, claim, outcome)))
}

const tries = 5
const pause = 300

/** What was sent and is not written down would be sent again: PostgreSQL gets some time to answer. */
async function persistently(write: () => Promise<void>): Promise<void> {
  for (let left = tries; ; left -= 1) {
    try {
      return await write()
    } catch (error) {
      if (left === 1 || !(error instanceof LeaseholdError) || !errors[error.code].retryable) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, pause))
  }
}

/** The first attempt of a notice by whoever has just raised it: all its messages at once. */
export async function deliverAll(parts: { readonly db: Db; readonly send: Send }, accountId: AccountId, noticeId: string): Promise<void> {
  const facts = await inAccount(parts.db, accountId, (trx) => readNoticeFacts(trx, noticeId))
  await Promise.allSettled((facts?.pending ?? []).map(({ deliveryId }) => deliver(parts, accountId, deliveryId)))
}

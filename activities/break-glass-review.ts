import type { BreakGlassReviewFacts } from '#schemas/break-glass-facts.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { AccountId, LeaseId } from '#schemas/ids.ts'
import { inAccount, type Db, type Transaction } from '#store/connection.ts'
import { readBreakGlassReviewFacts, remindOfReview } from '#store/remind-break-glass-review.ts'
import type { Subject } from '#workflows/messages.ts'

export interface BreakGlassReviewActivities {
  lookAtBreakGlassReview(subject: Subject): Promise<BreakGlassReviewFacts>
  /** @param reminders how many there were at the look */
  remindOfBreakGlassReview(subject: Subject, reminders: number): Promise<void>
}

/** @param db pool of leasehold_worker */
export function createBreakGlassReviewActivities(db: Db): BreakGlassReviewActivities {
  const inTransaction = <T>(subject: Subject, decide: (trx: Transaction, id: LeaseId) => Promise<T>): Promise<T> =>
    inAccount(db, AccountId.parse(subject.accountId), (trx) => decide(trx, LeaseId.parse(subject.subjectId)))
  return {
    async lookAtBreakGlassReview(subject) {
      const facts = await inTransaction(subject, readBreakGlassReviewFacts)
      if (facts === undefined) throw new LeaseholdError('not-found')
      return facts
    },
    remindOfBreakGlassReview: (subject, reminders) => inTransaction(subject, (trx, id) => remindOfReview(trx, id, reminders)),
  }
}

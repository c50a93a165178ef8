import { LeaseholdError } from '#schemas/errors.ts'
import { AccountId } from '#schemas/ids.ts'
import type { SupportAccessFacts } from '#schemas/support-access-facts.ts'
import { inAccount, type Db, type Transaction } from '#store/connection.ts'
import { expireSupportAccess, readSupportFacts, remindOfSupportAccess } from '#store/support-access.ts'
import { workflowIdOf, type Subject } from '#workflows/messages.ts'

export interface SupportAccessActivities {
  lookAtSupportAccess(subject: Subject): Promise<SupportAccessFacts>
  remindOfSupportAccess(subject: Subject): Promise<void>
  /** @param version of the window whose end was waited for */
  expireSupportAccess(subject: Subject, version: number): Promise<void>
}

/** @param db pool of leasehold_worker */
export function createSupportAccessActivities(db: Db): SupportAccessActivities {
  const inTransaction = <T>(subject: Subject, decide: (trx: Transaction) => Promise<T>): Promise<T> => inAccount(db, AccountId.parse(subject.accountId), decide)
  const actorOf = (subject: Subject) => ({ kind: 'workflow', id: workflowIdOf('support_access', subject) }) as const
  return {
    async lookAtSupportAccess(subject) {
      const facts = await inTransaction(subject, (trx) => readSupportFacts(trx, subject.subjectId))
      if (facts === undefined) throw new LeaseholdError('not-found')
      return facts
    },
    remindOfSupportAccess: (subject) => inTransaction(subject, (trx) => remindOfSupportAccess(trx, subject.subjectId, actorOf(subject))),
    async expireSupportAccess(subject, version) {
      await inTransaction(subject, (trx) => expireSupportAccess(trx, subject.subjectId, actorOf(subject), version))
    },
  }
}

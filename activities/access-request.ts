import type { AccessRequestFacts } from '#schemas/access-request-facts.ts'
import { AccessRequestId, AccountId } from '#schemas/ids.ts'
import { escalateRequest, expireRequest, readAccessRequestFacts } from '#store/access-request-time.ts'
import { inAccount, type Db, type Transaction } from '#store/connection.ts'
import { workflowIdOf, type Subject } from '#workflows/messages.ts'

export interface AccessRequestActivities {
  lookAtAccessRequest(subject: Subject): Promise<AccessRequestFacts>
  escalateAccessRequest(subject: Subject): Promise<void>
  expireAccessRequest(subject: Subject): Promise<void>
}

/** @param db pool of leasehold_worker */
export function createAccessRequestActivities(db: Db): AccessRequestActivities {
  const inTransaction = <T>({ accountId, subjectId }: Subject, decide: (trx: Transaction, id: AccessRequestId) => Promise<T>): Promise<T> =>
    inAccount(db, AccountId.parse(accountId), (trx) => decide(trx, AccessRequestId.parse(subjectId)))
  const actorOf = (subject: Subject) => ({ kind: 'workflow', id: workflowIdOf('access_request', subject) }) as const
  return {
    lookAtAccessRequest: (subject) => inTransaction(subject, readAccessRequestFacts),
    escalateAccessRequest: (subject) => inTransaction(subject, (trx, id) => escalateRequest(trx, id, actorOf(subject))),
    expireAccessRequest: (subject) => inTransaction(subject, (trx, id) => expireRequest(trx, id, actorOf(subject))),
  }
}

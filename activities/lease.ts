import { LeaseholdError } from '#schemas/errors.ts'
import { AccountId, LeaseId } from '#schemas/ids.ts'
import type { LeaseFacts } from '#schemas/lease-facts.ts'
import { inAccount, type Db } from '#store/connection.ts'
import { readLeaseFacts } from '#store/lease.ts'
import { releaseLease } from '#store/release-lease.ts'
import { workflowIdOf, type Subject } from '#workflows/messages.ts'

export interface LeaseActivities {
  lookAtLease(subject: Subject): Promise<LeaseFacts>
  /** @param version of the lease whose end was waited for */
  endExpiredLease(subject: Subject, version: number): Promise<void>
}

/** @param db pool of leasehold_worker */
export function createLeaseActivities(db: Db): LeaseActivities {
  return {
    async lookAtLease(subject) {
      const facts = await inAccount(db, AccountId.parse(subject.accountId), (trx) => readLeaseFacts(trx, LeaseId.parse(subject.subjectId)))
      if (facts === undefined) throw new LeaseholdError('not-found')
      return facts
    },
    async endExpiredLease(subject, version) {
      const actor = { kind: 'workflow', id: workflowIdOf('lease', subject) } as const
      const release = { leaseId: LeaseId.parse(subject.subjectId), cause: 'expired', actor, expectedVersion: version } as const
      await inAccount(db, AccountId.parse(subject.accountId), (trx) => releaseLease(trx, release))
    },
  }
}

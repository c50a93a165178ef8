import { LeaseholdError } from '#schemas/errors.ts'
import { AccountId, RecertificationId } from '#schemas/ids.ts'
import type { RecertificationFacts } from '#schemas/recertification-facts.ts'
import { runnerOf, type Db } from '#store/connection.ts'
import { readRecertificationFacts } from '#store/recertification.ts'
import { remindOfRecertification, settleRecertification } from '#store/settle-recertification.ts'
import { workflowIdOf, type Subject } from '#workflows/messages.ts'

export interface RecertificationActivities {
  lookAtRecertification(subject: Subject): Promise<RecertificationFacts>
  remindOfRecertification(subject: Subject): Promise<void>
  /** Settles a batch of what nobody has decided about; leases that rest on what it removes are ended by the loop that the owed reviews wake. */
  settleRecertification(subject: Subject): Promise<void>
}

/** Some ms each, and an activity has 10 s. */
const batch = 20

/** @param db pool of leasehold_worker */
export function createRecertificationActivities(db: Db): RecertificationActivities {
  const placeOf = ({ accountId, subjectId }: Subject) => ({ run: runnerOf(db, AccountId.parse(accountId)), id: RecertificationId.parse(subjectId) })
  const actorOf = (subject: Subject) => ({ kind: 'workflow', id: workflowIdOf('recertification', subject) }) as const
  return {
    async lookAtRecertification(subject) {
      const { run, id } = placeOf(subject)
      const facts = await run((trx) => readRecertificationFacts(trx, id))
      if (facts === undefined) throw new LeaseholdError('not-found')
      return facts
    },
    async remindOfRecertification(subject) {
      const { run, id } = placeOf(subject)
      await run((trx) => remindOfRecertification(trx, id, actorOf(subject)))
    },
    async settleRecertification(subject) {
      const { run, id } = placeOf(subject)
      await settleRecertification(run, id, actorOf(subject), batch)
    },
  }
}

import { LeaseholdError } from '#schemas/errors.ts'
import { AccountId, RotationCampaignId } from '#schemas/ids.ts'
import type { RotationCampaignFacts } from '#schemas/rotation-campaign-facts.ts'
import { inAccount, type Db, type Transaction } from '#store/connection.ts'
import { notifyDuties } from '#store/duties.ts'
import { endRotationCampaign } from '#store/end-rotation-campaign.ts'
import { readRotationCampaignFacts } from '#store/rotation-campaign.ts'
import { takeCampaignTurn } from '#store/take-campaign-turn.ts'
import { workflowIdOf, type Subject } from '#workflows/messages.ts'

export interface RotationCampaignActivities {
  lookAtRotationCampaign(subject: Subject): Promise<RotationCampaignFacts>
  beginCampaignRotations(subject: Subject): Promise<void>
  endRotationCampaign(subject: Subject): Promise<void>
}

/** So many turns fit well into the time of one activity; the workflow asks for more. */
const turns = 25

/** @param db pool of leasehold_worker */
export function createRotationCampaignActivities(db: Db): RotationCampaignActivities {
  const inTransaction = <T>(subject: Subject, decide: (trx: Transaction, id: RotationCampaignId) => Promise<T>): Promise<T> =>
    inAccount(db, AccountId.parse(subject.accountId), (trx) => decide(trx, RotationCampaignId.parse(subject.subjectId)))
  const actorOf = (subject: Subject) => ({ kind: 'workflow', id: workflowIdOf('rotation_campaign', subject) }) as const
  /** The relay polls besides, so a lost notification only costs time. */
  const wakeRelay = () => notifyDuties(db).catch(() => {})

  return {
    async lookAtRotationCampaign(subject) {
      const facts = await inTransaction(subject, readRotationCampaignFacts)
      if (facts === undefined) throw new LeaseholdError('not-found')
      return facts
    },
    /** One transaction each, and what was begun before a crash stays begun. */
    async beginCampaignRotations(subject) {
      for (let turn = 0; turn < turns; turn += 1) {
        if (!(await inTransaction(subject, (trx, id) => takeCampaignTurn(trx, id, actorOf(subject))))) break
      }
      await wakeRelay()
    },
    async endRotationCampaign(subject) {
      await inTransaction(subject, (trx, id) => endRotationCampaign(trx, id, actorOf(subject)))
      await wakeRelay()
    },
  }
}

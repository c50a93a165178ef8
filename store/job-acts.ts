import { sql } from 'kysely'
import type { JobId } from '#schemas/ids.ts'
import type { ClaimFacts, ClaimRefusal, JobReport, OfferFacts } from '#schemas/job-facts.ts'
import { claimCheck } from './claim-check.ts'
import { claimJob, type Claim } from './claim-job.ts'
import type { Transaction } from './connection.ts'
import { readOffer, recordOffer, repeatOffer } from './job.ts'
import type { Taken } from './late-result.ts'
import { offerCheck } from './check-turn.ts'
import { reportCheck } from './report-check.ts'
import { reportJob } from './report-job.ts'

/** What becomes of a job between us and a connector. */
export interface JobActs {
  /** What may be offered now, and written down as offered; undefined: nothing. */
  readonly offer: (trx: Transaction, id: JobId) => Promise<OfferFacts | undefined>
  /** The connector was there and had its hands full. */
  readonly repeatOffer: (trx: Transaction, id: JobId) => Promise<void>
  readonly claim: (trx: Transaction, claim: Claim) => Promise<ClaimFacts | ClaimRefusal>
  readonly report: (trx: Transaction, report: JobReport) => Promise<Taken>
}

const ofRotation: JobActs = {
  offer: async (trx, id) => {
    const found = await readOffer(trx, id)
    if (found !== undefined) await recordOffer(trx, id)
    return found
  },
  repeatOffer,
  claim: claimJob,
  report: reportJob,
}
/** A check waits for its next turn instead: it leaves free hands to rotations. */
const ofCheck: JobActs = { offer: offerCheck, repeatOffer: async () => {}, claim: claimCheck, report: reportCheck }

/** A connector knows a job by its id alone: whether it is one of a rotation or a check is for us to find. */
export async function jobActs(trx: Transaction, id: JobId): Promise<JobActs> {
  const { rows } = await sql`select from credential_check where id = ${id}::uuid`.execute(trx)
  return rows.length > 0 ? ofCheck : ofRotation
}

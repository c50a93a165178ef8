import type { NatsConnection } from 'nats'
import { Offer, OfferAnswer, offerType, subjects } from '#schemas/connector-message.ts'
import type { AccountId, JobId } from '#schemas/ids.ts'
import type { OfferFacts } from '#schemas/job-facts.ts'
import type { Transit } from '#secrets/transit.ts'
import { inAccount, type Db } from '#store/connection.ts'
import { jobActs } from '#store/job-acts.ts'

export interface OfferParts {
  readonly db: Db
  readonly transit: Transit
  /** Connection into the account of an organization. */
  readonly line: (accountId: AccountId, organizationId: OfferFacts['organizationId']) => Promise<NatsConnection>
}

/** Life of an offer, s: long enough for one try, and short against its repetition. */
const offerLife = 10
const patience = 2_000

/**
 * Offers a job to its connector, if there is anything to offer now. The offer is repeated until somebody claims the job, so
 * it does not matter whether the connector is there.
 *
 * @returns what became of it; undefined: there was nothing to offer
 */
export async function offerJob({ db, transit, line }: OfferParts, accountId: AccountId, jobId: JobId): Promise<OfferAnswer | 'silence' | undefined> {
  const facts = await inAccount(db, accountId, async (trx) => (await jobActs(trx, jobId)).offer(trx, jobId))
  if (facts === undefined) return undefined
  const connection = await line(accountId, facts.organizationId)
  const jws = await signOffer(transit, facts)
  const reply = await connection.request(subjects.offer(facts.connectorId), jws, { timeout: patience }).catch(() => undefined)
  // crash point: job offered
  if (reply === undefined) return 'silence'
  const answer = OfferAnswer.safeParse(reply.json()).data
  if (answer?.why === 'busy') await inAccount(db, accountId, async (trx) => (await jobActs(trx, jobId)).repeatOffer(trx, jobId))
  return answer ?? 'silence'
}

async function signOffer(transit: Transit, { connectorId, jobId, epoch, kind }: OfferFacts): Promise<string> {
  const iat = Math.floor(Date.now() / 1000)
  const offer: Offer = { v: 1, connectorId, jobId, epoch, kind, iat, exp: iat + offerLife }
  return transit.signJws(await transit.signingKey('connector-signing'), offerType, offer)
}

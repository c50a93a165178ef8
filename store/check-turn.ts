import { sql } from 'kysely'
import type { JobId } from '#schemas/ids.ts'
import type { OfferFacts } from '#schemas/job-facts.ts'
import { nextCheckStep, offerAgain } from '#schemas/rules/check.ts'
import { lockIdentity } from './checkout-facts.ts'
import type { Transaction } from './connection.ts'
import { readCheck } from './credential-check.ts'
import { owe } from './duties.ts'
import { finishCheck } from './finish-check.ts'

/**
 * The turn of a check: what may be offered for it now, and written down as offered; undefined: nothing. A claim that was lost is given up
 * here, and a check that nobody takes: the duty to offer is all the clock that a check needs.
 */
export async function offerCheck(trx: Transaction, id: JobId): Promise<OfferFacts | undefined> {
  const found = await readCheck(trx, id)
  if (found === undefined) return undefined
  await lockIdentity(trx, found.identityId)
  const check = await readCheck(trx, id)
  if (check === undefined) return undefined
  const step = nextCheckStep(check)
  if (step.do === 'end') await finishCheck(trx, check, step, { kind: 'system', id: 'check-watch' })
  if (step.do === 'wait') await owe(trx, 'offer', id, { delayMs: step.ms })
  if (step.do !== 'offer') return undefined
  await sql`update credential_check set state = 'waiting', offers = offers + 1 where id = ${id}::uuid`.execute(trx)
  await owe(trx, 'offer', id, { delayMs: offerAgain })
  const { organizationId, connectorId, epoch } = check
  return step.sent ? { jobId: id, organizationId, connectorId, kind: 'check', epoch: epoch + 1 } : undefined
}

import type { Logger } from 'pino'
import type { Alarm } from '#schemas/connector-message.ts'
import { appendAudit } from '#store/audit.ts'
import { inAccount, type Db } from '#store/connection.ts'
import type { Speaker } from './claim.ts'

/** Writes down that somebody made offers to a connector that are not ours. */
export async function takeAlarm(
  { db, log }: { readonly db: Db; readonly log: Logger },
  { accountId, connectorId }: Speaker,
  { why, count }: Alarm,
): Promise<{ v: 1 }> {
  log.error({ alarm: 'offer-refused', connectorId, why, count }, 'a connector was offered what we do not offer')
  await inAccount(db, accountId, (trx) =>
    appendAudit(trx, {
      actor: { kind: 'connector', id: connectorId },
      action: 'connector.offer_refused',
      effect: 'deny',
      outcome: why,
      connectorId,
      detail: { count },
    }),
  )
  return { v: 1 }
}

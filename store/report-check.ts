import { sql } from 'kysely'
import type { JobReport } from '#schemas/job-facts.ts'
import { isJudged, verdictOfCheck } from '#schemas/rules/check.ts'
import { lockIdentity } from './checkout-facts.ts'
import type { Transaction } from './connection.ts'
import { readCheck, type CheckRow } from './credential-check.ts'
import { finishCheck } from './finish-check.ts'
import type { Taken } from './late-result.ts'

/**
 * Takes a connector's result of a check. A lost claim may still be answered until the next one, also when the check was given up meanwhile:
 * the login was made, and need not be made again. A result counts only while the host is known to have the version that was tried;
 * else, and when the check was cancelled, it says nothing of the host.
 */
export async function reportCheck(trx: Transaction, report: JobReport): Promise<Taken> {
  const found = await readHeld(trx, report)
  if (found === undefined) return 'stale'
  await lockIdentity(trx, found.identityId)
  const check = await readHeld(trx, report)
  if (check === undefined) return 'stale'
  const verdict = verdictOfCheck(report)
  const isNews = check.state === 'done' ? isJudged(verdict.outcome) && !isJudged(check.outcome) && check.counts : check.state !== 'cancelled'
  if (!isNews) return 'repeated'
  if (check.counts) await finishCheck(trx, check, verdict, { kind: 'connector', id: report.connectorId })
  else await sql`update credential_check set state = 'cancelled', finished_at = app_clock() where id = ${check.id}::uuid`.execute(trx)
  return 'recorded'
}

/** The check, when the report comes from whoever claimed it last. */
async function readHeld(trx: Transaction, { jobId, connectorId, epoch, instance }: JobReport): Promise<CheckRow | undefined> {
  const { rows: active } = await sql`select from connector where id = ${connectorId}::uuid and state = 'active'`.execute(trx)
  const check = active.length === 0 ? undefined : await readCheck(trx, jobId)
  return check?.connectorId === connectorId && check.epoch === epoch && check.instance === instance ? check : undefined
}

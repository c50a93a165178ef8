import { createHmac, timingSafeEqual } from 'node:crypto'
import { resultText, type JobResult, type ResultAnswer } from '#schemas/connector-message.ts'
import type { JobReport } from '#schemas/job-facts.ts'
import { jobMacKey } from '#secrets/envelope.ts'
import { keyVersionOf, type VaultKeys } from '#secrets/vault-keys.ts'
import { appendAudit } from '#store/audit.ts'
import { inAccount, type Db } from '#store/connection.ts'
import { jobActs } from '#store/job-acts.ts'
import { readJobKey } from '#store/job-key.ts'
import type { Speaker } from './claim.ts'

/**
 * Takes a connector's result. Only whoever opened the claim's secret knows the key of its MAC, so a result that was altered
 * on its way, or made up, or belongs to another claim, changes nothing and is written down.
 */
export async function takeResult(parts: { readonly db: Db; readonly vaultKeys: VaultKeys }, speaker: Speaker, result: JobResult): Promise<ResultAnswer> {
  const { accountId, connectorId } = speaker
  const ref = await inAccount(parts.db, accountId, (trx) => readJobKey(trx, result.jobId, connectorId, keyVersionOf(result.macKeyId)))
  // Nothing to check it with, nothing that it could change.
  if (ref === undefined) {
    await refuse(parts.db, speaker, result, 'foreign-result')
    return { v: 1, ack: true, stale: true }
  }
  const key = jobMacKey(await parts.vaultKeys.get(ref), result)
  const expected = createHmac('sha256', key).update(resultText(connectorId, result)).digest()
  if (!timingSafeEqual(expected, Buffer.from(result.mac, 'base64url'))) {
    await refuse(parts.db, speaker, result, 'altered-result')
    return { v: 1, refused: 'mac' }
  }
  const { jobId, epoch, instance, outcome, reasonClass, stagedLogsIn, knownLogsIn } = result
  const report: JobReport = { jobId, epoch, instance, connectorId, outcome, reasonClass, stagedLogsIn, knownLogsIn }
  // crash point: result checked
  const taken = await inAccount(parts.db, accountId, async (trx) => (await jobActs(trx, jobId)).report(trx, report))
  // crash point: result committed
  if (taken === 'stale') await refuse(parts.db, speaker, result, 'stale-result')
  return { v: 1, ack: true, stale: taken !== 'recorded' }
}

async function refuse(db: Db, { accountId, connectorId }: Speaker, { jobId, epoch }: JobResult, outcome: string): Promise<void> {
  await inAccount(db, accountId, (trx) =>
    appendAudit(trx, {
      actor: { kind: 'connector', id: connectorId },
      action: 'job.reported',
      effect: 'deny',
      outcome,
      connectorId,
      detail: { jobId, epoch },
    }),
  )
}

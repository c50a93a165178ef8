import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import type { HostId, IdentityId, JobId, RotationId } from '#schemas/ids.ts'
import type { JobReport } from '#schemas/job-facts.ts'
import { verdictOfReport, type JobVerdict } from '#schemas/rules/job.ts'
import type { JobKind, JobState } from '#schemas/states.ts'
import { lockIdentity } from './checkout-facts.ts'
import type { Transaction } from './connection.ts'
import { owe } from './duties.ts'
import { auditJob } from './job.ts'
import { takeLateResult, type Taken } from './late-result.ts'
import { replaceRefused } from './replace-refused.ts'
import { settleRotation } from './settle-rotation.ts'

interface JobRow {
  id: JobId
  identity_id: IdentityId
  rotation_id: RotationId
  host_id: HostId
  kind: JobKind
  state: JobState
  epoch: number
  instance: string | null
  attempts: number
  staged_version: number
}

/**
 * Takes a connector's result. The version that a host has moves here, per host, and the last host's result settles the
 * rotation in the same transaction. A result of an older epoch or another instance, or of a final job, decides nothing
 * (`takeLateResult`); the connector may forget it all the same.
 */
export async function reportJob(trx: Transaction, report: JobReport): Promise<Taken> {
  const found = await readJob(trx, report)
  if (found === undefined) return takeLateResult(trx, report)
  await lockIdentity(trx, found.identity_id)
  const job = await readJob(trx, report)
  if (job === undefined) return takeLateResult(trx, report)
  const verdict = verdictOfReport(job, report)
  await writeVerdict(trx, job, verdict)
  const actor: Actor = { kind: 'connector', id: report.connectorId }
  await auditJob(trx, { jobId: job.id, identityId: job.identity_id, rotationId: job.rotation_id }, actor, 'job.reported', report.outcome, {
    epoch: report.epoch,
    kind: job.kind,
    state: verdict.state,
    ...(verdict.reasonClass === null ? {} : { reasonClass: verdict.reasonClass }),
  })
  if (verdict.state === 'waiting' || verdict.state === 'doubt') await owe(trx, 'offer', job.id, { delayMs: verdict.delayMs })
  await replaceRefused(trx, job.rotation_id, actor)
  await settleRotation(trx, job.rotation_id, actor)
  return 'recorded'
}

/** The job, when the report comes from whoever holds it. A lapsed claim may still be answered, once, until the next claim of the job. */
async function readJob(trx: Transaction, report: JobReport): Promise<JobRow | undefined> {
  const { rows } = await sql<JobRow>`
    select j.id, j.identity_id, j.rotation_id, j.host_id, j.kind, j.state, j.epoch, j.instance, j.attempts, r.staged_version
    from job j join rotation r on r.id = j.rotation_id join connector c on c.id = j.connector_id
    where j.id = ${report.jobId}::uuid and j.connector_id = ${report.connectorId}::uuid and c.state = 'active' and j.epoch = ${report.epoch}::int
      and j.instance = ${report.instance}::uuid and j.state in ('claimed', 'doubt') and r.state = 'pending'
      and not ${report.epoch}::int = any(j.reported_epochs)`.execute(trx)
  return rows[0]
}

async function writeVerdict(trx: Transaction, job: JobRow, verdict: JobVerdict): Promise<void> {
  await sql`update job set state = ${verdict.state}::text, kind = ${verdict.kind}::text, attempts = ${verdict.attempts}::int, reason_class = ${verdict.reasonClass}::text,
      refused_version = case when ${verdict.refusesValue}::boolean then ${job.staged_version}::int else refused_version end,
      next_at = app_clock() + make_interval(secs => ${verdict.delayMs}::float8 / 1000),
      doubt_since = case when ${verdict.state}::text = 'doubt' then coalesce(doubt_since, app_clock()) end,
      finished_at = case when ${verdict.state}::text in ('confirmed', 'failed') then app_clock() end, reported_epochs = reported_epochs || ${job.epoch}::int
    where id = ${job.id}::uuid`.execute(trx)
  if (verdict.host === null) return
  // Both are proofs by a login.
  const judged = verdict.host !== 'unknown'
  await sql`update identity_host set sync = ${verdict.host}::text, checked_at = case when ${judged}::boolean then app_clock() else checked_at end,
      unreachable_since = case when not ${judged}::boolean then unreachable_since end,
      known_version = case when ${verdict.state}::text = 'confirmed' then ${job.staged_version}::int else known_version end
    where identity_id = ${job.identity_id}::uuid and host_id = ${job.host_id}::uuid`.execute(trx)
}

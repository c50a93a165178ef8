import { sql, type RawBuilder } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import type { ConnectorId, HostId, IdentityId, JobId, OrganizationId, RotationId } from '#schemas/ids.ts'
import type { JobReport } from '#schemas/job-facts.ts'
import { lockIdentity } from './checkout-facts.ts'
import type { Transaction } from './connection.ts'
import { auditJob } from './job.ts'
import { raiseNotice } from './notice.ts'

/** What became of a result. `repeated`: it was taken before; `stale`: its claim is over, so it decides nothing. */
export type Taken = 'recorded' | 'repeated' | 'stale'

interface DriftedJob {
  readonly identityId: IdentityId
  readonly rotationId: RotationId
  readonly organizationId: OrganizationId
  readonly hostId: HostId
}

interface LateSaying {
  readonly jobId: JobId
  readonly connectorId: ConnectorId
  readonly epoch: number
  readonly outcome: JobReport['outcome']
}

interface LateJob extends DriftedJob {
  readonly isRepeated: boolean
  readonly isOpen: boolean
  /** The rotation is over, and the host is taken to have another value than the one that this claim was given. */
  readonly contradicts: boolean
}

/** The version that a claim of job `j` was to set; without one (it was to find out, or is from before they were kept) the last of rotation `r`. */
const versionOf = (epoch: RawBuilder<unknown>): RawBuilder<number> => sql`coalesce(j.claimed_versions[${epoch}], r.staged_version)`

/**
 * A result whose claim is over decides nothing. But one that does not rule a change out, of a claim that was given up, says that
 * the host may have the value of then: where something else is believed by now, the host has drifted, and people are told. While the
 * rotation goes on nobody believes anything yet, so it is kept for its end.
 */
export async function takeLateResult(trx: Transaction, report: JobReport): Promise<Exclude<Taken, 'recorded'>> {
  const found = await readLateJob(trx, report)
  if (found === undefined) return 'stale'
  if (found.isRepeated) return 'repeated'
  await lockIdentity(trx, found.identityId)
  const late = await readLateJob(trx, report)
  if (late === undefined || late.isRepeated) return 'repeated'
  await sql`update job set reported_epochs = reported_epochs || ${report.epoch}::int where id = ${report.jobId}::uuid`.execute(trx)
  if (report.outcome === 'unchanged') return 'stale'
  if (late.contradicts) await recordDrift(trx, report, late)
  else if (late.isOpen)
    await sql`update job set late_outcome = ${report.outcome}::text, late_epoch = ${report.epoch}::int where id = ${report.jobId}::uuid`.execute(trx)
  return 'stale'
}

/** The rotation has ended: hosts that are taken to have another value than a late result said have drifted. The caller holds the lock of the identity. */
export async function believeLateResults(trx: Transaction, rotationId: RotationId): Promise<void> {
  const { rows } = await sql<LateSaying & DriftedJob>`
    select j.id as "jobId", j.connector_id as "connectorId", j.late_epoch as epoch, j.late_outcome as outcome, j.identity_id as "identityId",
      j.rotation_id as "rotationId", j.organization_id as "organizationId", j.host_id as "hostId"
    from job j join rotation r on r.id = j.rotation_id join identity_host h on h.identity_id = j.identity_id and h.host_id = j.host_id
    where j.rotation_id = ${rotationId}::uuid and j.late_outcome is not null and h.known_version is distinct from ${versionOf(sql`j.late_epoch`)}`.execute(trx)
  for (const row of rows) await recordDrift(trx, row, row)
}

async function readLateJob(trx: Transaction, { jobId, connectorId, epoch }: JobReport): Promise<LateJob | undefined> {
  const { rows } = await sql<LateJob>`
    select j.identity_id as "identityId", j.rotation_id as "rotationId", j.organization_id as "organizationId", j.host_id as "hostId",
      ${epoch}::int = any(j.reported_epochs) as "isRepeated", r.state = 'pending' as "isOpen",
      r.state <> 'pending' and h.known_version is distinct from ${versionOf(sql`${epoch}::int`)} as contradicts
    from job j join rotation r on r.id = j.rotation_id join connector c on c.id = j.connector_id
      join identity_host h on h.identity_id = j.identity_id and h.host_id = j.host_id
    where j.id = ${jobId}::uuid and j.connector_id = ${connectorId}::uuid and c.state = 'active' and ${epoch}::int <= j.epoch`.execute(trx)
  return rows[0]
}

async function recordDrift(trx: Transaction, report: LateSaying, { identityId, rotationId, organizationId, hostId }: DriftedJob): Promise<void> {
  await sql`update identity_host set sync = 'drifted' where identity_id = ${identityId}::uuid and host_id = ${hostId}::uuid`.execute(trx)
  const actor: Actor = { kind: 'connector', id: report.connectorId }
  await auditJob(trx, { jobId: report.jobId, identityId, rotationId }, actor, 'host.drifted', 'late-result', { epoch: report.epoch, reported: report.outcome })
  await raiseNotice(trx, {
    kind: 'host.drifted',
    severity: 'critical',
    subject: { type: 'identity', id: identityId },
    organizationId,
    to: 'admins',
    facts: { hostId, rotationId },
  })
}

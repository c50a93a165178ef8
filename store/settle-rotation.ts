import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import type { IdentityId, LeaseId, RotationId } from '#schemas/ids.ts'
import type { RotationFacts } from '#schemas/rotation-facts.ts'
import type { RotationPhase } from '#schemas/states.ts'
import { nextRotationAt, retryAfterFailure, verdictOf } from '#schemas/rules/rotation.ts'
import { appendAudit } from './audit.ts'
import { scheduleCheck } from './check-schedule.ts'
import { lockIdentity } from './checkout-facts.ts'
import type { Transaction } from './connection.ts'
import { shredUnused } from './credential.ts'
import { shredIdentity } from './shred-identity.ts'
import { owe } from './duties.ts'
import { believeLateResults } from './late-result.ts'
import { rotateOnward } from './rotate-onward.ts'
import { callForPerson } from './rotation-attention.ts'
import { settleCampaignItems } from './rotation-campaign.ts'
import { readRotation } from './rotation.ts'

/**
 * Writes what the jobs of a rotation say about it, and tells its workflow to look. Confirmed: the new version is the
 * present one and the next date is set. Failed: what was exposed stays owed, and the scheduler tries again later;
 * of an enrollment nothing stays.
 *
 * @param decided what a person says of one without jobs
 */
export async function settleRotation(trx: Transaction, rotationId: RotationId, actor: Actor, decided?: 'confirmed' | 'failed'): Promise<RotationFacts> {
  const { identityId } = await readRotation(trx, rotationId)
  await lockIdentity(trx, identityId)
  const rotation = await readRotation(trx, rotationId)
  if (rotation.state !== 'pending') return rotation
  const verdict = decided ?? (rotation.jobs.length === 0 ? 'pending' : verdictOf(rotation.jobs))
  if (verdict === 'pending') {
    const phase = phaseOf(rotation)
    const needsAttention = rotation.needsAttention && awaitsAnswer(rotation)
    await trx
      .updateTable('rotation')
      .set((e) => ({ phase, needs_attention: needsAttention, version: e('version', '+', 1) }))
      .where('id', '=', rotationId)
      .execute()
    await owe(trx, 'rotation', rotationId)
    return readRotation(trx, rotationId)
  }
  const reasonClass = rotation.jobs.find((job) => job.state === 'failed')?.reasonClass ?? null
  await sql`update rotation set state = ${verdict}::text, phase = 'done', finished_at = app_clock(), needs_attention = false, version = version + 1,
    reason_class = ${reasonClass}::text where id = ${rotationId}::uuid`.execute(trx)
  if (verdict === 'confirmed') await promote(trx, identityId, rotation)
  else if (rotation.trigger === 'enroll') await shredIdentity(trx, identityId)
  else await postpone(trx, identityId, rotationId)
  await believeLateResults(trx, rotationId)
  await scheduleCheck(trx, identityId)
  await appendAudit(trx, {
    actor,
    action: `rotation.${verdict}`,
    effect: 'permit',
    outcome: verdict === 'confirmed' ? 'success' : (reasonClass ?? 'failed'),
    organizationId: rotation.organizationId,
    vaultId: rotation.vaultId,
    identityId,
    rotationId,
    detail: { version: rotation.stagedVersion, hosts: rotation.jobs.length },
  })
  await owe(trx, 'rotation', rotationId, { closed: true })
  await settleCampaignItems(trx, { identityId, rotationId, state: verdict, reasonClass })
  if (verdict === 'confirmed') await rotateOnward(trx, identityId, rotationId, actor)
  await tellLeases(trx, rotationId)
  return readRotation(trx, rotationId)
}

function phaseOf({ stagedVersion, jobs }: RotationFacts): RotationPhase {
  if (jobs.some((job) => job.state === 'doubt')) return 'in_doubt'
  if (jobs.some((job) => job.state === 'claimed')) return 'applying'
  return stagedVersion === null ? 'queued' : 'waiting'
}

/** Once a probe has ended every doubt nobody is called for any more, and the next doubt calls again. Without a host only a person ends it. */
const awaitsAnswer = ({ jobs }: RotationFacts): boolean => jobs.length === 0 || jobs.some((job) => job.doubtForMs !== null)

async function promote(trx: Transaction, identityId: IdentityId, rotation: RotationFacts): Promise<void> {
  const { rows } = await sql<{ interval: number | null; due_at: Date | null; now: Date }>`
    select i.rotation_interval_days as interval, r.due_at, app_clock() as now from identity i, rotation r
    where i.id = ${identityId}::uuid and r.id = ${rotation.rotationId}::uuid`.execute(trx)
  const [row] = rows
  const next = row === undefined ? null : nextRotationAt(row.interval, row.now, row.due_at)
  await sql`update identity set current_version = ${rotation.stagedVersion}::int, last_rotated_at = app_clock(), draining_since = null,
    next_rotation_at = ${next}::timestamptz, state = case when state = 'enrolling' then 'active' else state end where id = ${identityId}::uuid`.execute(trx)
  await shredUnused(trx, identityId)
}

/** Back-off after failures in a row; when it is used up, only a person starts the next attempt. */
async function postpone(trx: Transaction, identityId: IdentityId, rotationId: RotationId): Promise<void> {
  const { rows } = await sql<{ failures: number }>`
    select count(*)::int as failures from rotation r where r.identity_id = ${identityId}::uuid and r.state = 'failed' and r.started_at > coalesce(
      (select max(c.started_at) from rotation c where c.identity_id = ${identityId}::uuid and c.state = 'confirmed'), '-infinity')`.execute(trx)
  const delay = retryAfterFailure(rows[0]?.failures ?? 1)
  await sql`update identity set next_rotation_at = app_clock() + make_interval(secs => ${delay}::float8 / 1000) where id = ${identityId}::uuid`.execute(trx)
  if (delay === null) await callForPerson(trx, rotationId, 'warning')
}

/** Leases whose end owed this rotation learn how it went, so that their history alone tells the whole story. */
async function tellLeases(trx: Transaction, rotationId: RotationId): Promise<void> {
  const { rows } = await sql<{ id: LeaseId }>`select id from lease where rotation_id = ${rotationId}::uuid`.execute(trx)
  for (const { id } of rows) await owe(trx, 'lease', id, { closed: true })
}

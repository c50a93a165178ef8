import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import type { JobId, LeaseId, RotationId } from '#schemas/ids.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { owe } from './duties.ts'
import { believeLateResults } from './late-result.ts'
import { settleCampaignItems } from './rotation-campaign.ts'
import { readRotation } from './rotation.ts'

/**
 * Ends a rotation that no connector holds, because a person stored another value meanwhile: the staged one is never applied.
 * The caller holds the lock of the identity and knows that no job is claimed or in doubt.
 */
export async function cancelRotation(trx: Transaction, rotationId: RotationId, actor: Actor): Promise<void> {
  const rotation = await readRotation(trx, rotationId)
  const { rows: jobs } = await sql<{ id: JobId }>`
    update job set state = 'cancelled', finished_at = app_clock() where rotation_id = ${rotationId}::uuid and state = 'waiting' returning id`.execute(trx)
  await sql`update rotation set state = 'cancelled', phase = 'done', finished_at = app_clock(), needs_attention = false, version = version + 1
    where id = ${rotationId}::uuid`.execute(trx)
  await believeLateResults(trx, rotationId)
  await appendAudit(trx, {
    actor,
    action: 'rotation.cancelled',
    effect: 'permit',
    outcome: 'success',
    organizationId: rotation.organizationId,
    vaultId: rotation.vaultId,
    identityId: rotation.identityId,
    rotationId,
    detail: { version: rotation.stagedVersion, hosts: jobs.length },
  })
  for (const { id } of jobs) await owe(trx, 'offer', id, { closed: true })
  await owe(trx, 'rotation', rotationId, { closed: true })
  await settleCampaignItems(trx, { identityId: rotation.identityId, rotationId, state: 'cancelled', reasonClass: null })
  const { rows: leases } = await sql<{ id: LeaseId }>`select id from lease where rotation_id = ${rotationId}::uuid`.execute(trx)
  for (const { id } of leases) await owe(trx, 'lease', id, { closed: true })
}

import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import type { RotationId } from '#schemas/ids.ts'
import { afterRefusal } from '#schemas/rules/rotation.ts'
import type { JobState } from '#schemas/states.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { oweOffers, pauseLeft, type OfferableJob } from './job.ts'
import { readRotation } from './rotation.ts'

/**
 * A value that some host's policy refuses is withdrawn: the workflow stages another one, in a commit of its own. That no host has
 * the refused value, or may get it yet, is known from the answers of those who held the jobs; while one is open, it stays. Where
 * some host has it already, or three were refused, the jobs that refused it fail. The caller holds the lock of the identity and
 * settles the rotation afterwards.
 */
export async function replaceRefused(trx: Transaction, rotationId: RotationId, actor: Actor): Promise<void> {
  const { rows } = await sql<{ state: JobState; refuses: boolean; candidates: number }>`
    select j.state, coalesce(j.refused_version = r.staged_version, false) as refuses,
      (select count(*)::int from credential_version c where c.identity_id = r.identity_id and c.rotation_id = r.id) as candidates
    from job j join rotation r on r.id = j.rotation_id where r.id = ${rotationId}::uuid and r.state = 'pending'`.execute(trx)
  const candidates = rows[0]?.candidates ?? 0
  const next = afterRefusal(rows, candidates)
  if (next === 'no-refusal' || next === 'wait') return
  if (next === 'give-up') return giveUp(trx, rotationId)
  const { organizationId, vaultId, identityId, stagedVersion } = await readRotation(trx, rotationId)
  await sql`update rotation set staged_version = null, phase = 'queued', version = version + 1 where id = ${rotationId}::uuid`.execute(trx)
  await appendAudit(trx, {
    actor,
    action: 'rotation.candidate_refused',
    effect: 'permit',
    outcome: 'policy-refused',
    organizationId,
    vaultId,
    identityId,
    rotationId,
    detail: { version: stagedVersion, candidates },
  })
}

/** The other hosts go on: what they were not offered while there was hope of another value, they are offered now. */
async function giveUp(trx: Transaction, rotationId: RotationId): Promise<void> {
  await sql`update job j set state = 'failed', finished_at = app_clock() from rotation r
    where r.id = ${rotationId}::uuid and j.rotation_id = r.id and j.state = 'waiting' and j.refused_version = r.staged_version`.execute(trx)
  const { rows } = await sql<OfferableJob>`
    select id, ${pauseLeft} as pause from job where rotation_id = ${rotationId}::uuid and state = 'waiting'`.execute(trx)
  await oweOffers(trx, rows)
}

import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { HostId, RotationId } from '#schemas/ids.ts'
import type { RotationFacts } from '#schemas/rotation-facts.ts'
import type { Sealed } from '#schemas/sealed.ts'
import { appendAudit } from './audit.ts'
import { lockIdentity } from './checkout-facts.ts'
import type { Transaction } from './connection.ts'
import { replaceRefused } from './replace-refused.ts'
import { readRotation } from './rotation.ts'
import { settleRotation } from './settle-rotation.ts'

export interface Resolution {
  readonly rotationId: RotationId
  /** The host that was looked at; null: every one that is in doubt. */
  readonly hostId: HostId | null
  /** Which value works on the target, as a person found out. */
  readonly outcome: 'applied' | 'not_applied'
  readonly actor: Actor
  readonly reason: Sealed
}

/**
 * A person says what a rotation in need of attention came to: which value a host in doubt has, or whether they set the new value of
 * an identity without hosts. Nobody has proven it by a login, so such a host is not in sync; where a connector never answered it
 * may even change something yet, so the host is drifted until the next rotation has verified it.
 *
 * @throws LeaseholdError `not-found`, `nothing-to-resolve`, `identity-rotating` (a connector is at it right now), `validation-failed`
 */
export async function resolveRotation(trx: Transaction, { rotationId, hostId, outcome, actor, reason }: Resolution): Promise<void> {
  const { identityId } = await readRotation(trx, rotationId)
  await lockIdentity(trx, identityId)
  const rotation = await readRotation(trx, rotationId)
  if (!awaitsPerson(rotation)) throw new LeaseholdError('nothing-to-resolve')
  if (rotation.jobs.some((job) => job.state === 'claimed')) throw new LeaseholdError('identity-rotating', { rotationId, retryAfterSeconds: 5 })
  if (hostId !== null && !rotation.jobs.some((job) => job.hostId === hostId && job.state === 'doubt')) {
    throw new LeaseholdError('validation-failed', { errors: [{ path: 'hostId', message: 'must be a host that is in doubt' }] })
  }
  const applied = outcome === 'applied'
  await sql`
    with settled as (
      update job set state = ${applied ? 'confirmed' : 'failed'}::text, finished_at = app_clock(), reason_class = ${applied ? null : 'resolved'}::text
      from job before where before.id = job.id and job.rotation_id = ${rotationId}::uuid and job.state = 'doubt'
        and (${hostId}::uuid is null or job.host_id = ${hostId}::uuid)
      returning job.host_id, before.reason_class = 'lapsed' as silent
    )
    update identity_host h set sync = case when settled.silent then 'drifted' else 'unknown' end, checked_at = null, unreachable_since = null,
      known_version = case when ${applied}::boolean then ${rotation.stagedVersion}::int else h.known_version end
    from settled where h.identity_id = ${identityId}::uuid and h.host_id = settled.host_id`.execute(trx)
  await sql`update rotation set needs_attention = exists (select from job j where j.rotation_id = rotation.id and j.state = 'doubt'), version = version + 1
    where id = ${rotationId}::uuid`.execute(trx)
  await appendAudit(trx, {
    actor,
    action: 'rotation.resolved',
    effect: 'permit',
    outcome,
    organizationId: rotation.organizationId,
    vaultId: rotation.vaultId,
    identityId,
    rotationId,
    reason,
    ...(hostId === null ? {} : { hostId }),
    detail: { version: rotation.stagedVersion },
  })
  // What another host refused could not be replaced as long as this one was in doubt.
  await replaceRefused(trx, rotationId, actor)
  await settleRotation(trx, rotationId, actor, rotation.jobs.length === 0 ? (applied ? 'confirmed' : 'failed') : undefined)
}

/** Nothing but a person can tell what became of it. */
export const awaitsPerson = ({ state, needsAttention, stagedVersion }: RotationFacts): boolean =>
  state === 'pending' && needsAttention && stagedVersion !== null

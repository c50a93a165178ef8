import type { Actor } from '#schemas/audit-event.ts'
import type { RotationId } from '#schemas/ids.ts'
import type { RotationFacts } from '#schemas/rotation-facts.ts'
import { appendAudit } from './audit.ts'
import { lockIdentity } from './checkout-facts.ts'
import type { Transaction } from './connection.ts'
import { storeVersion, type StoredValue } from './credential.ts'
import { oweOffers } from './job.ts'
import { readRotation } from './rotation.ts'

/** `version` is from `rotationMaterial`. */
type StagedValue = StoredValue & { readonly version: number }

/**
 * Stores the one value that the rotation may ever apply, before any connector hears of it: whatever dies later, the value
 * that a host may have is in the vault. A rotation that has staged already, or is final, keeps what it has.
 */
export async function stageVersion(trx: Transaction, rotationId: RotationId, value: StagedValue, actor: Actor): Promise<RotationFacts> {
  const { identityId } = await readRotation(trx, rotationId)
  await lockIdentity(trx, identityId)
  const rotation = await readRotation(trx, rotationId)
  if (rotation.state !== 'pending' || rotation.stagedVersion !== null) return rotation
  await storeVersion(trx, identityId, value, rotationId)
  await trx
    .updateTable('rotation')
    .set((e) => ({ staged_version: value.version, phase: 'staged', version: e('version', '+', 1) }))
    .where('id', '=', rotationId)
    .execute()
  await offerAgain(trx, rotation)
  await appendAudit(trx, {
    actor,
    action: 'rotation.staged',
    effect: 'permit',
    outcome: 'success',
    organizationId: rotation.organizationId,
    vaultId: rotation.vaultId,
    identityId,
    rotationId,
    detail: { version: value.version },
  })
  return readRotation(trx, rotationId)
}

/** Hosts of an earlier candidate: what was offered to them while there was no value came to nothing. Each keeps its pause. */
async function offerAgain(trx: Transaction, { jobs }: RotationFacts): Promise<void> {
  const waiting = jobs.filter((job) => job.state === 'waiting')
  await oweOffers(
    trx,
    waiting.map((job) => ({ id: job.jobId, pause: job.nextInMs })),
  )
}

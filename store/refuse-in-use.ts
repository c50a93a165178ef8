import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/ids.ts'
import { cancelRotation } from './cancel-rotation.ts'
import { readCheckoutFacts } from './checkout-facts.ts'
import type { Transaction } from './connection.ts'
import { checksCancelled } from './credential-check.ts'
import { endOverdueLeases } from './release-lease.ts'

/**
 * What changes where or as whom a value logs in waits until nobody holds the identity and no connector changes it; a check of how it
 * was ends. The caller holds the lock of the identity.
 *
 * @param cancels a rotation that nobody has claimed is cancelled, because its value would not be the right one any more
 * @throws LeaseholdError `identity-checked-out`, `identity-rotating`, `rotation-open`
 */
export async function refuseInUse(trx: Transaction, id: IdentityId, actor: Actor, cancels: boolean): Promise<void> {
  await endOverdueLeases(trx, id, { kind: 'system', id: 'overdue' })
  const {
    leases: [lease],
    openRotation,
  } = await readCheckoutFacts(trx, id, null)
  if (lease !== undefined) {
    throw new LeaseholdError('identity-checked-out', { until: lease.expiresAt.toISOString(), ...(lease.holder === null ? {} : { holder: lease.holder }) })
  }
  await checksCancelled(sql`k.identity_id = ${id}::uuid`).execute(trx)
  if (openRotation === null) return
  const held = openRotation.jobs.some((job) => job.state === 'claimed' || job.state === 'doubt')
  if (held) throw new LeaseholdError('identity-rotating', { rotationId: openRotation.id, retryAfterSeconds: 5 })
  if (!cancels) throw new LeaseholdError('rotation-open', { rotationId: openRotation.id })
  await cancelRotation(trx, openRotation.id, actor)
}

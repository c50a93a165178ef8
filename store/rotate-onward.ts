import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import type { IdentityId, LeaseId, RotationId } from '#schemas/ids.ts'
import type { Transaction } from './connection.ts'
import { oweEach } from './duties.ts'
import { isAlive } from './exposure.ts'
import { listRestless } from './lease-ends.ts'
import { insertRotations } from './owed-rotations.ts'

/** Begins what is owed to those of the identities that nobody holds and that are not rotating. The caller holds their locks. */
export async function beginOwed(trx: Transaction, identityIds: readonly IdentityId[], actor: Actor): Promise<ReadonlyMap<IdentityId, RotationId>> {
  const restless = await listRestless(trx, identityIds)
  return insertRotations(
    trx,
    restless.filter((identity) => identity.openRotationId === null && identity.rotatable && identity.owedSince !== null),
    actor,
  )
}

/**
 * A version that was just confirmed may be one that somebody saw in an emergency, while nobody knew whether it was set: then it
 * must die like the one before, and the leases that waited for its rotation wait for the next. Nothing happens while somebody
 * holds the identity: the end of that lease looks again. The caller holds the lock of the identity.
 *
 * @param confirmed the rotation that made it
 */
export async function rotateOnward(trx: Transaction, identityId: IdentityId, confirmed: RotationId, actor: Actor): Promise<void> {
  const rotationId = (await beginOwed(trx, [identityId], actor)).get(identityId)
  if (rotationId === undefined) return
  const { rows } = await sql<{ id: LeaseId }>`
    update lease l set rotation_id = ${rotationId}::uuid from identity i
    where i.id = l.identity_id and l.rotation_id = ${confirmed}::uuid and exists (select from exposure e where e.lease_id = l.id and e.must_die_at is not null
      and ${isAlive})
    returning l.id`.execute(trx)
  await oweEach(
    trx,
    'lease',
    rows.map(({ id }) => ({ subjectId: id, closed: false })),
  )
}

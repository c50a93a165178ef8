import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/ids.ts'
import { appendAudit } from './audit.ts'
import { lockIdentity } from './checkout-facts.ts'
import type { Transaction } from './connection.ts'
import { readIdentity } from './identity.ts'
import { expectVersion } from './refusals.ts'
import { refuseInUse } from './refuse-in-use.ts'
import { shredIdentity } from './shred-identity.ts'

/**
 * Deletes an identity: its ciphertexts and history are shredded, its row stays for what names it (leases, audit events).
 *
 * @throws LeaseholdError `not-found`, `precondition-failed`, `identity-checked-out`, `identity-rotating`, `rotation-open`, `in-use` (a host's admin identity), `busy`
 */
export async function deleteIdentity(trx: Transaction, id: IdentityId, actor: Actor, expectedVersion?: number): Promise<void> {
  await lockIdentity(trx, id)
  const identity = await readIdentity(trx, id)
  expectVersion(identity.version, expectedVersion)
  await refuseInUse(trx, id, actor, false)
  const { rows } = await sql`select from host where admin_identity_id = ${id}::uuid and deleted_at is null limit 1`.execute(trx)
  if (rows.length > 0) throw new LeaseholdError('in-use', { detail: 'This is the admin identity of a host' })
  await shredIdentity(trx, id)
  await appendAudit(trx, {
    actor,
    action: 'identity.deleted',
    effect: 'permit',
    outcome: 'success',
    organizationId: identity.organizationId,
    vaultId: identity.identityGroupId,
    identityId: id,
  })
}

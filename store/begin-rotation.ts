import { LeaseholdError } from '#schemas/errors.ts'
import type { IdentityId, RotationId } from '#schemas/ids.ts'
import { readCheckoutFacts } from './checkout-facts.ts'
import type { Transaction } from './connection.ts'
import { insertRotation, type NewRotation } from './insert-rotation.ts'
import { endOverdueLeases } from './release-lease.ts'
import { canRotate } from './rotatable.ts'

export interface RotationRequest extends NewRotation {
  readonly identityId: IdentityId
  /** The identity has no hosts and a person sets the new value on the target. */
  readonly vaultOnly?: boolean
}

/**
 * Decides that an identity gets a new value. A manual one is refused while the identity is checked out (S2); a scheduled
 * one may be open meanwhile and takes the identity when the last holder leaves.
 *
 * @throws LeaseholdError `not-found`, `identity-currently-checked-out`, `rotation-open`, `identity-has-no-hosts`, `credential-not-rotatable`, `idempotency-key-reused`, `busy`
 */
export async function beginRotation(trx: Transaction, request: RotationRequest): Promise<{ readonly rotationId: RotationId; readonly replayed: boolean }> {
  await endOverdueLeases(trx, request.identityId, { kind: 'system', id: 'overdue' })
  const made = request.rotationId === undefined ? undefined : await findMade(trx, request.rotationId)
  if (made !== undefined) return replay(request, made)
  const facts = await readCheckoutFacts(trx, request.identityId, null)
  if (facts.openRotation !== null) throw new LeaseholdError('rotation-open', { rotationId: facts.openRotation.id })
  const [lease] = facts.leases
  if (request.trigger === 'manual' && lease !== undefined) {
    throw new LeaseholdError('identity-currently-checked-out', {
      until: lease.expiresAt.toISOString(),
      ...(lease.holder === null ? {} : { holder: lease.holder }),
    })
  }
  if (facts.hosts.length === 0 && request.vaultOnly !== true) throw new LeaseholdError('identity-has-no-hosts')
  if (!(await canRotate(trx, request.identityId))) throw new LeaseholdError('credential-not-rotatable')
  return { rotationId: await insertRotation(trx, request.identityId, request), replayed: false }
}

interface Made {
  readonly identityId: IdentityId
  readonly requestHash: Buffer | null
}

async function findMade(trx: Transaction, rotationId: RotationId): Promise<Made | undefined> {
  const row = await trx.selectFrom('rotation').select(['identity_id', 'request_hash']).where('id', '=', rotationId).executeTakeFirst()
  return row && { identityId: row.identity_id, requestHash: row.request_hash }
}

function replay(request: RotationRequest, made: Made): { rotationId: RotationId; replayed: true } {
  const same = made.identityId === request.identityId && request.requestHash !== undefined && made.requestHash?.equals(request.requestHash) === true
  if (!same || request.rotationId === undefined) throw new LeaseholdError('idempotency-key-reused')
  return { rotationId: request.rotationId, replayed: true }
}

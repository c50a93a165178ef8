import { sql } from 'kysely'
import { v7 as uuidv7 } from 'uuid'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { RotationId, type IdentityId, type UserId } from '#schemas/ids.ts'
import type { RotationTrigger } from '#schemas/states.ts'
import { auditInsert } from './audit.ts'
import { lockIdentity, readCheckoutFacts } from './checkout-facts.ts'
import type { Transaction } from './connection.ts'
import { dutyUpsert } from './duties.ts'

export interface RotationRequest {
  readonly identityId: IdentityId
  readonly trigger: RotationTrigger
  readonly actor: Actor
  readonly requestedBy?: UserId
  /** uuidv5(account, subject, Idempotency-Key) of a manual rotation; a retry finds it. Absent: a new one. */
  readonly rotationId?: RotationId
  /** SHA-256 of the request, 32 bytes. */
  readonly requestHash?: Uint8Array
  /** Scheduled: the date that was due; the next one is counted from it. */
  readonly dueAt?: Date
  /** The identity has no hosts and a person sets the new value on the target. */
  readonly vaultOnly?: boolean
}

/**
 * Decides that an identity gets a new value. A manual one is refused while the identity is checked out (S2); a scheduled
 * one may be open meanwhile and takes the identity when the last holder leaves.
 *
 * @throws LeaseholdError `not-found`, `identity-currently-checked-out`, `rotation-open`, `identity-has-no-hosts`, `idempotency-key-reused`, `busy`
 */
export async function beginRotation(trx: Transaction, request: RotationRequest): Promise<{ readonly rotationId: RotationId; readonly replayed: boolean }> {
  await lockIdentity(trx, request.identityId)
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

/** Writes the rotation, its audit event and its duty. The caller holds the lock of the identity and knows that none is open. */
export async function insertRotation(
  trx: Transaction,
  identityId: IdentityId,
  { trigger, actor, requestedBy, rotationId, requestHash, dueAt }: Omit<RotationRequest, 'identityId'>,
): Promise<RotationId> {
  const id = rotationId ?? RotationId.parse(uuidv7())
  const identity = await trx.selectFrom('identity').select(['organization_id', 'vault_id']).where('id', '=', identityId).executeTakeFirstOrThrow()
  await sql`
    with inserted as (
      insert into rotation (id, organization_id, vault_id, identity_id, trigger, requested_by, due_at, started_at, request_hash)
      values (${id}::uuid, ${identity.organization_id}::uuid, ${identity.vault_id}::uuid, ${identityId}::uuid, ${trigger}::text, ${requestedBy ?? null}::uuid,
        ${dueAt ?? null}::timestamptz, app_clock(), ${requestHash ?? null}::bytea)
    ),
    audited as (${auditInsert({
      actor,
      action: 'rotation.requested',
      effect: 'permit',
      outcome: 'success',
      organizationId: identity.organization_id,
      vaultId: identity.vault_id,
      identityId,
      rotationId: id,
      detail: { trigger },
    })}),
    owed as (${dutyUpsert('rotation', id)})
    select 1`.execute(trx)
  return id
}

import { sql } from 'kysely'
import { v7 as uuidv7 } from 'uuid'
import type { Actor } from '#schemas/audit-event.ts'
import { RotationId, type IdentityId, type UserId } from '#schemas/ids.ts'
import type { RotationTrigger } from '#schemas/states.ts'
import { auditInsert } from './audit.ts'
import type { Transaction } from './connection.ts'
import { checksCancelled } from './credential-check.ts'
import { dutyUpsert } from './duties.ts'
import { refuseReusedKey } from './refusals.ts'

export interface NewRotation {
  readonly trigger: RotationTrigger
  readonly actor: Actor
  readonly requestedBy?: UserId
  /** uuidv5(account, subject, Idempotency-Key) of a manual rotation; a retry finds it. Absent: a new one. */
  readonly rotationId?: RotationId
  /** SHA-256 of the request, 32 bytes. */
  readonly requestHash?: Uint8Array
  /** Scheduled: the date that was due; the next one is counted from it. */
  readonly dueAt?: Date
}

/** Writes the rotation, its audit event and its duty, and ends checks of the value that it replaces. The caller holds the lock of the identity and knows that none is open. */
export async function insertRotation(
  trx: Transaction,
  identityId: IdentityId,
  { trigger, actor, requestedBy, rotationId, requestHash, dueAt }: NewRotation,
): Promise<RotationId> {
  const id = rotationId ?? RotationId.parse(uuidv7())
  const identity = await trx.selectFrom('identity').select(['organization_id', 'vault_id']).where('id', '=', identityId).executeTakeFirstOrThrow()
  const written = sql`
    with inserted as (
      insert into rotation (id, organization_id, vault_id, identity_id, trigger, requested_by, due_at, started_at, request_hash)
      values (${id}::uuid, ${identity.organization_id}::uuid, ${identity.vault_id}::uuid, ${identityId}::uuid, ${trigger}::text, ${requestedBy ?? null}::uuid,
        ${dueAt ?? null}::timestamptz, app_clock(), ${requestHash ?? null}::bytea)
    ),
    cancelled as (${checksCancelled(sql`k.identity_id = ${identityId}::uuid`)}),
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
  await refuseReusedKey(written, ['rotation_pkey'])
  return id
}

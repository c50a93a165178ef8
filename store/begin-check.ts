import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError, type ErrorCode } from '#schemas/errors.ts'
import type { IdentityId, JobId, OrganizationId, RotationId, UserId, VaultId } from '#schemas/ids.ts'
import { appendAudit } from './audit.ts'
import { lockIdentity } from './checkout-facts.ts'
import type { Transaction } from './connection.ts'
import { oweOffers } from './job.ts'
import { jobAdapter } from './rotatable.ts'

export interface CheckRequest {
  readonly identityId: IdentityId
  readonly actor: Actor
  /** Absent: the schedule. */
  readonly requestedBy?: UserId
  /** ms over which the first offers are spread; absent: 0. */
  readonly spreadMs?: number
}

export interface Checkable {
  readonly organizationId: OrganizationId
  readonly vaultId: VaultId
  readonly rotationId: RotationId | null
  /** Why no host can be asked; null: some can. */
  readonly hindrance: ErrorCode | null
}

/** @throws LeaseholdError `not-found` */
export async function readCheckable(trx: Transaction, identityId: IdentityId): Promise<Checkable> {
  const { rows } = await sql<Checkable>`
    select i.organization_id as "organizationId", i.vault_id as "vaultId",
      (select r.id from rotation r where r.identity_id = i.id and r.state = 'pending') as "rotationId",
      (select case when count(*) = 0 then 'identity-has-no-hosts' when count(${jobAdapter(sql`i.credential_type`, sql`h.adapter`)}) = 0 then 'credential-not-rotatable' end
        from identity_host ih join host h on h.id = ih.host_id where ih.identity_id = i.id) as hindrance
    from identity i where i.id = ${identityId}::uuid and i.deleted_at is null`.execute(trx)
  if (rows[0] === undefined) throw new LeaseholdError('not-found')
  return rows[0]
}

/**
 * Asks every host of an identity that can be asked whether the version that it is known to have logs in. One that is being asked already
 * is not asked twice; one that waits for its moment need not wait any more.
 *
 * @throws LeaseholdError `not-found`, `rotation-open`, `identity-has-no-hosts`, `credential-not-rotatable`, `busy`
 */
export async function beginCheck(trx: Transaction, { identityId, actor, requestedBy, spreadMs = 0 }: CheckRequest): Promise<void> {
  await lockIdentity(trx, identityId)
  const { organizationId, vaultId, rotationId, hindrance } = await readCheckable(trx, identityId)
  if (rotationId !== null) throw new LeaseholdError('rotation-open', { rotationId })
  if (hindrance !== null) throw new LeaseholdError(hindrance)
  await sql`
    insert into credential_check as k (organization_id, vault_id, identity_id, host_id, connector_id, version, requested_by)
    select i.organization_id, i.vault_id, i.id, h.id, h.connector_id, ih.known_version, ${requestedBy ?? null}::uuid
    from identity i join identity_host ih on ih.identity_id = i.id join host h on h.id = ih.host_id
    where i.id = ${identityId}::uuid and ${jobAdapter(sql`i.credential_type`, sql`h.adapter`)} is not null
    on conflict (account_id, identity_id, host_id) do update set state = 'waiting', organization_id = excluded.organization_id, vault_id = excluded.vault_id,
      connector_id = excluded.connector_id, version = excluded.version, requested_by = excluded.requested_by, requested_at = app_clock(), claims = 0, offers = 0,
      instance = null, lease_until = null, claimed_at = null, finished_at = null, outcome = null, reason_class = null
      where k.state in ('done', 'cancelled')`.execute(trx)
  const { rows } = await sql<{ id: JobId; pause: number }>`
    update credential_check set requested_by = coalesce(${requestedBy ?? null}::uuid, requested_by) where identity_id = ${identityId}::uuid and state = 'waiting'
    returning id, random() * ${spreadMs}::float8 as pause`.execute(trx)
  await oweOffers(trx, rows)
  await appendAudit(trx, { actor, action: 'check.requested', effect: 'permit', outcome: 'success', organizationId, vaultId, identityId })
}

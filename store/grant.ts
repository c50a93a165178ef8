import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { CreateGrant, Grant } from '#schemas/grant.ts'
import type { VaultId } from '#schemas/ids.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import type { Principal } from '#schemas/principal.ts'
import { oweAccessReview } from './owe-access-review.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { findDirectoryRecord, refuseSelf } from './idp.ts'
import { pageClause } from './page.ts'
import { refuseFaults } from './refusals.ts'
import { lockVault, readVault } from './vault.ts'

const grants = sql`
  select g.id, g.vault_id as "identityGroupId", g.level, g.expires_at as "expiresAt", g.valid_from as "validFrom", g.valid_to as "validTo", g.created_by as "createdBy",
    jsonb_build_object('type', case when g.idp_user_id is null then 'group' else 'user' end, 'id', coalesce(g.idp_user_id, g.idp_group_id),
      'name', coalesce(u.name, u.email, d.name)) as principal,
    case when g.valid_to is not null then 'revoked' when g.expires_at <= app_clock() then 'expired' else 'active' end as state
  from vault_grant g left join idp_user u on u.id = g.idp_user_id left join idp_group d on d.id = g.idp_group_id`

type Row = Omit<Grant, 'expiresAt' | 'validFrom' | 'validTo'> & { readonly expiresAt: Date | null; readonly validFrom: Date; readonly validTo: Date | null }
const fromRow = (row: Row): Grant => ({
  ...row,
  expiresAt: row.expiresAt?.toISOString() ?? null,
  validFrom: row.validFrom.toISOString(),
  validTo: row.validTo?.toISOString() ?? null,
})

/** @throws LeaseholdError `not-found` */
export async function readGrant(trx: Transaction, vaultId: VaultId, id: string): Promise<Grant> {
  const { rows } = await sql<Row>`${grants} where g.id = ${id}::uuid and g.vault_id = ${vaultId}::uuid`.execute(trx)
  if (rows[0] === undefined) throw new LeaseholdError('not-found')
  return fromRow(rows[0])
}

/** The grants of a vault that are not revoked. */
export async function listGrants(trx: Transaction, vaultId: VaultId, page: PageRequest): Promise<Page<Grant>> {
  await readVault(trx, vaultId)
  const { rows } = await sql<Row>`${grants} where g.vault_id = ${vaultId}::uuid and g.valid_to is null ${pageClause(sql`g.id`, page)}`.execute(trx)
  return toPage(rows.map(fromRow), page.limit)
}

export interface Granting {
  readonly id: string
  readonly vaultId: VaultId
  readonly principal: Principal
  readonly actor: Actor
}

/**
 * Gives a user or group access to a vault. Nobody gives it to themselves, directly or through a group, unless owner.
 *
 * @throws LeaseholdError `not-found` (vault or principal), `forbidden`, `validation-failed`, `already-exists` (revoke the old one first)
 */
export async function createGrant(trx: Transaction, { id, vaultId, principal, actor }: Granting, body: CreateGrant): Promise<Grant> {
  await lockVault(trx, vaultId, 'change')
  const { organizationId } = await readVault(trx, vaultId)
  const record = await findDirectoryRecord(trx, body.principal, principal)
  refuseSelf(principal, record)
  const expiresAt = body.expiresAt == null ? null : new Date(body.expiresAt)
  const user = record.type === 'user' ? record.id : null
  const group = record.type === 'group' ? record.id : null
  const { rows } = await sql<{ past: boolean; open: boolean }>`
    select ${expiresAt}::timestamptz <= app_clock() as past, exists (
      select from vault_grant where vault_id = ${vaultId}::uuid and valid_to is null and (expires_at is null or expires_at > app_clock())
        and (idp_user_id = ${user}::uuid or idp_group_id = ${group}::uuid)) as open`.execute(trx)
  refuseFaults(rows[0]?.past === true ? [{ path: 'expiresAt', message: 'must be in the future' }] : [])
  if (rows[0]?.open === true) throw new LeaseholdError('already-exists')
  await sql`insert into vault_grant (id, vault_id, idp_user_id, idp_group_id, level, expires_at, created_by)
    values (${id}::uuid, ${vaultId}::uuid, ${user}::uuid, ${group}::uuid, ${body.level}::text, ${expiresAt}::timestamptz, ${principal.userId}::uuid)`.execute(
    trx,
  )
  await appendAudit(trx, {
    actor,
    action: 'grant.created',
    effect: 'permit',
    outcome: 'success',
    organizationId,
    vaultId,
    ...(expiresAt === null ? {} : { expiresAt }),
    detail: { grantId: id, principal: { type: record.type, id: record.id }, level: body.level },
  })
  return readGrant(trx, vaultId, id)
}

/**
 * Closes a grant: from the commit on nobody checks out by it. The lock comes first, so that a checkout which rests on the
 * grant is either visible to the review of leases afterwards or sees that the grant is gone. Closing a closed one changes nothing.
 *
 * @returns whether it was this call
 * @throws LeaseholdError `not-found`
 */
export async function revokeGrant(trx: Transaction, vaultId: VaultId, id: string, actor: Actor): Promise<boolean> {
  await sql`select from vault_grant where id = ${id}::uuid and vault_id = ${vaultId}::uuid for update`.execute(trx)
  const grant = await readGrant(trx, vaultId, id)
  if (grant.state === 'revoked') return false
  await sql`update vault_grant set valid_to = app_clock() where id = ${id}::uuid`.execute(trx)
  const { rows } = await sql<{ organization_id: never }>`select organization_id from vault where id = ${vaultId}::uuid`.execute(trx)
  await appendAudit(trx, {
    actor,
    action: 'grant.revoked',
    effect: 'permit',
    outcome: 'success',
    vaultId,
    ...(rows[0] && { organizationId: rows[0].organization_id }),
    detail: { grantId: id, principal: { type: grant.principal.type, id: grant.principal.id }, level: grant.level },
  })
  await oweAccessReview(trx, { vaultId })
  return true
}

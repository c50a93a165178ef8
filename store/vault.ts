import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { AccountId, OrganizationId, VaultId } from '#schemas/ids.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import type { ChangeVault, CreateVault, Vault } from '#schemas/vault.ts'
import type { VaultKeyRef } from '#schemas/vault-key-ref.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { fieldsOf, merged } from './merged.ts'
import { inScope, pageClause, type Scope } from './page.ts'
import { expectVersion, refuseDuplicates } from './refusals.ts'

const columns = sql`v.id, v.organization_id as "organizationId", v.name, v.description,
  (select count(*)::int from identity i where i.vault_id = v.id and i.deleted_at is null) as identities, v.version, v.created_at as "createdAt"`

type Row = Omit<Vault, 'createdAt'> & { readonly createdAt: Date }
const fromRow = (row: Row): Vault => ({ ...row, createdAt: row.createdAt.toISOString() })

/** @throws LeaseholdError `not-found` */
export async function readVault(trx: Transaction, id: VaultId): Promise<Vault> {
  const { rows } = await sql<Row>`select ${columns} from vault v where v.id = ${id}::uuid and v.deleted_at is null`.execute(trx)
  if (rows[0] === undefined) throw new LeaseholdError('not-found')
  return fromRow(rows[0])
}

/** @param organizationId null: of all organizations */
export async function listVaults(trx: Transaction, scope: Scope, organizationId: OrganizationId | null, page: PageRequest): Promise<Page<Vault>> {
  const { rows } = await sql<Row>`
    select ${columns} from vault v where v.deleted_at is null and ${inScope(scope, sql`v.organization_id`, sql`v.id`)}
      and (${organizationId}::uuid is null or v.organization_id = ${organizationId}::uuid) ${pageClause(sql`v.id`, page)}`.execute(trx)
  return toPage(rows.map(fromRow), page.limit)
}

/** @throws LeaseholdError `not-found` (the organization), `already-exists` */
export async function createVault(trx: Transaction, id: VaultId, body: CreateVault, actor: Actor): Promise<Vault> {
  await refuseDuplicates(
    sql`
    insert into vault (id, organization_id, name, description, salt)
    values (${id}::uuid, ${body.organizationId}::uuid, ${body.name}::text, ${body.description ?? null}::text, ${randomBytes(32)}::bytea)`.execute(trx),
  )
  await appendAudit(trx, { actor, action: 'vault.created', effect: 'permit', outcome: 'success', organizationId: body.organizationId, vaultId: id })
  return readVault(trx, id)
}

/** @throws LeaseholdError `not-found`, `precondition-failed`, `already-exists` */
export async function changeVault(trx: Transaction, id: VaultId, change: ChangeVault, actor: Actor, expectedVersion?: number): Promise<Vault> {
  await lockVault(trx, id, 'change')
  const before = await readVault(trx, id)
  expectVersion(before.version, expectedVersion)
  const after = merged(before, change)
  await refuseDuplicates(
    sql`
    update vault set name = ${after.name}::text, description = ${after.description}::text, version = version + 1 where id = ${id}::uuid`.execute(trx),
  )
  await appendAudit(trx, {
    actor,
    action: 'vault.changed',
    effect: 'permit',
    outcome: 'success',
    organizationId: before.organizationId,
    vaultId: id,
    detail: { fields: fieldsOf(change) },
  })
  return readVault(trx, id)
}

/**
 * Deletes an empty vault and closes its grants. Its row stays for the audit events that name it.
 *
 * @throws LeaseholdError `not-found`, `precondition-failed`, `vault-not-empty` ("Cannot delete group with N identities", S2)
 */
export async function deleteVault(trx: Transaction, id: VaultId, actor: Actor, expectedVersion?: number): Promise<void> {
  await sql`select from vault_grant where vault_id = ${id}::uuid and valid_to is null order by id for update`.execute(trx)
  await lockVault(trx, id, 'delete')
  const vault = await readVault(trx, id)
  expectVersion(vault.version, expectedVersion)
  if (vault.identities > 0) throw new LeaseholdError('vault-not-empty', { detail: `Cannot delete group with ${vault.identities} identities` })
  await sql`update vault_grant set valid_to = app_clock() where vault_id = ${id}::uuid and valid_to is null`.execute(trx)
  await sql`update vault set deleted_at = app_clock(), version = version + 1 where id = ${id}::uuid`.execute(trx)
  await appendAudit(trx, { actor, action: 'vault.deleted', effect: 'permit', outcome: 'success', organizationId: vault.organizationId, vaultId: id })
}

/**
 * What the key of a vault is derived from.
 *
 * @param keyVersion version of the organization secret; absent: the newest, for new values
 * @throws LeaseholdError `not-found`, `organization-secret-not-found`
 */
export async function readVaultKeyRef(trx: Transaction, vaultId: VaultId, keyVersion?: number): Promise<VaultKeyRef> {
  const { rows } = await sql<{ account_id: AccountId; organization_id: OrganizationId; salt: Buffer; secret_version: number | null }>`
    select v.account_id, v.organization_id, v.salt, o.secret_version from vault v join organization o on o.id = v.organization_id
    where v.id = ${vaultId}::uuid`.execute(trx)
  const row = rows[0]
  if (row === undefined) throw new LeaseholdError('not-found')
  if (row.secret_version === null) throw new LeaseholdError('organization-secret-not-found')
  return { accountId: row.account_id, organizationId: row.organization_id, vaultId, vaultSalt: row.salt, keyVersion: keyVersion ?? row.secret_version }
}

/** Whether values from before vault keys may be read in this vault. */
export async function isLegacyOpen(trx: Transaction, vaultId: VaultId): Promise<boolean> {
  const { rows } = await sql<{ legacy_open: boolean }>`
    select o.legacy_open from vault v join organization o on o.id = v.organization_id where v.id = ${vaultId}::uuid`.execute(trx)
  return rows[0]?.legacy_open ?? false
}

const locks = { use: sql`for key share`, change: sql`for no key update`, delete: sql`for update` }

/**
 * Takes the lock on a vault that exists: `use` keeps it from being deleted meanwhile.
 *
 * @throws LeaseholdError `not-found`
 */
export async function lockVault(trx: Transaction, id: VaultId, purpose: keyof typeof locks): Promise<void> {
  const { rows } = await sql`select from vault where id = ${id}::uuid and deleted_at is null ${locks[purpose]}`.execute(trx)
  if (rows.length === 0) throw new LeaseholdError('not-found')
}

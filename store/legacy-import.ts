import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { IdentityId, OrganizationId } from '#schemas/ids.ts'
import type { LegacyImportAnswer, LegacyRow, LegacyState } from '#schemas/legacy-import.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { createIdentity } from './create-identity.ts'
import type { StoredValue } from './credential.ts'
import { readIdentity } from './identity.ts'
import { lockOrganization } from './organization.ts'

/** @throws LeaseholdError `not-found` */
export async function readLegacyState(trx: Transaction, id: OrganizationId): Promise<LegacyState> {
  const { rows } = await sql<{ open: boolean; closedAt: Date | null; version0: number; version1: number }>`
    select o.legacy_open as open, o.legacy_closed_at as "closedAt", count(*) filter (where c.encryption_version = 0)::int as version0,
      count(*) filter (where c.encryption_version = 1)::int as version1
    from organization o left join identity i on i.organization_id = o.id
      left join credential_version c on c.identity_id = i.id and c.encryption_version < 2 and c.ciphertext is not null
    where o.id = ${id}::uuid group by o.account_id, o.id`.execute(trx)
  const [row] = rows
  if (row === undefined) throw new LeaseholdError('not-found')
  const { open, closedAt, version0, version1 } = row
  const state = open ? 'open' : closedAt === null ? 'never_opened' : 'closed'
  return { state, closedAt: closedAt?.toISOString() ?? null, remaining: { version0, version1 } }
}

/** From now on rows from before vault keys are taken and read. @throws LeaseholdError `not-found`, `legacy-closed` (it was closed before) */
export async function openForLegacy(trx: Transaction, id: OrganizationId, actor: Actor): Promise<LegacyState> {
  await lockOrganization(trx, id)
  const { state } = await readLegacyState(trx, id)
  if (state === 'closed') throw new LeaseholdError('legacy-closed')
  if (state === 'never_opened') {
    await sql`update organization set legacy_open = true, version = version + 1 where id = ${id}::uuid`.execute(trx)
    await appendAudit(trx, { actor, action: 'legacy.opened', effect: 'permit', outcome: 'success', organizationId: id })
  }
  return readLegacyState(trx, id)
}

/** Final: whatever was not read by now will not be. Closing what is closed changes nothing. @throws LeaseholdError `not-found` */
export async function closeForLegacy(trx: Transaction, id: OrganizationId, actor: Actor): Promise<LegacyState> {
  await lockOrganization(trx, id)
  const { state, remaining } = await readLegacyState(trx, id)
  if (state !== 'closed') {
    await sql`update organization set legacy_open = false, legacy_closed_at = app_clock(), version = version + 1 where id = ${id}::uuid`.execute(trx)
    await appendAudit(trx, { actor, action: 'legacy.closed', effect: 'permit', outcome: 'success', organizationId: id, detail: { remaining } })
  }
  return readLegacyState(trx, id)
}

/** One row, the id that it gets, and its value as it was stored. */
export interface LegacyIdentity {
  readonly id: IdentityId
  readonly row: Omit<LegacyRow, 'ciphertext' | 'encryptionVersion'>
  readonly value: StoredValue
}

/**
 * Takes rows as they are, all of them or none.
 *
 * @throws LeaseholdError `legacy-closed`, and what `createIdentity` throws, naming the row
 */
export async function importLegacy(trx: Transaction, organizationId: OrganizationId, identities: readonly LegacyIdentity[], actor: Actor): Promise<void> {
  // Share: closing waits for us, or was committed before and is seen.
  const { rows } = await sql<{ legacy_open: boolean }>`select legacy_open from organization where id = ${organizationId}::uuid for share`.execute(trx)
  if (rows[0]?.legacy_open !== true) throw new LeaseholdError('legacy-closed')
  for (const [index, { id, row, value }] of identities.entries()) {
    await createIdentity(trx, id, row, value, actor).catch((error: unknown) => {
      throw error instanceof LeaseholdError ? ofRow(error, index) : error
    })
  }
  const rowsOf = (version: number) => identities.filter(({ value }) => value.sealed.encryptionVersion === version).length
  await appendAudit(trx, {
    actor,
    action: 'legacy.imported',
    effect: 'permit',
    outcome: 'success',
    organizationId,
    detail: { version0: rowsOf(0), version1: rowsOf(1) },
  })
}

export async function readImported(trx: Transaction, ids: readonly IdentityId[]): Promise<LegacyImportAnswer> {
  const identities = []
  for (const id of ids) {
    const { name } = await readIdentity(trx, id)
    identities.push({ id, name })
  }
  return { identities }
}

function ofRow(error: LeaseholdError, index: number): LeaseholdError {
  const errors = error.facts.errors?.map(({ path, message }) => ({ path: `rows.${index}.${path}`, message }))
  return new LeaseholdError(error.code, { ...error.facts, detail: `Row ${index}: ${error.message}`, ...(errors && { errors }) }, { cause: error })
}

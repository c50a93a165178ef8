import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { OrganizationId } from '#schemas/ids.ts'
import type { ChangeOrganization, CreateOrganization, Organization } from '#schemas/organization.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { fieldsOf, merged } from './merged.ts'
import { inScope, pageClause, type Scope } from './page.ts'
import { expectVersion, refuseDuplicates } from './refusals.ts'

const columns = sql`id, name, maximum_lease_minutes as "maximumLeaseMinutes", break_glass_maximum_minutes as "breakGlassMaximumMinutes",
  break_glass_grace_minutes as "breakGlassGraceMinutes", break_glass_without_provider as "breakGlassWithoutProvider",
  rotation_limit_minutes as "rotationLimitMinutes", secret_version as "secretVersion", version, created_at as "createdAt"`

type Row = Omit<Organization, 'createdAt'> & { readonly createdAt: Date }
const fromRow = (row: Row): Organization => ({ ...row, createdAt: row.createdAt.toISOString() })

/** @throws LeaseholdError `not-found` */
export async function readOrganization(trx: Transaction, id: OrganizationId): Promise<Organization> {
  const { rows } = await sql<Row>`select ${columns} from organization where id = ${id}::uuid`.execute(trx)
  if (rows[0] === undefined) throw new LeaseholdError('not-found')
  return fromRow(rows[0])
}

export async function listOrganizations(trx: Transaction, scope: Scope, page: PageRequest): Promise<Page<Organization>> {
  const { rows } = await sql<Row>`
    select ${columns} from organization where ${inScope(scope, sql`id`)} ${pageClause(sql`id`, page)}`.execute(trx)
  return toPage(rows.map(fromRow), page.limit)
}

/** @throws LeaseholdError `already-exists` (the name is taken) */
export async function createOrganization(trx: Transaction, id: OrganizationId, body: CreateOrganization, actor: Actor): Promise<Organization> {
  await refuseDuplicates(
    sql`
    insert into organization (id, name, maximum_lease_minutes, break_glass_maximum_minutes, break_glass_grace_minutes, rotation_limit_minutes, break_glass_without_provider)
    values (${id}::uuid, ${body.name}::text, ${body.maximumLeaseMinutes ?? null}::int, ${body.breakGlassMaximumMinutes ?? 60}::int,
      ${body.breakGlassGraceMinutes ?? 15}::int, ${body.rotationLimitMinutes ?? 1440}::int,
      ${body.breakGlassWithoutProvider ?? false}::boolean)`.execute(trx),
  )
  await appendAudit(trx, { actor, action: 'organization.created', effect: 'permit', outcome: 'success', organizationId: id })
  return readOrganization(trx, id)
}

/**
 * @param expectedVersion from If-Match; absent: any
 * @throws LeaseholdError `not-found`, `precondition-failed`, `already-exists`
 */
export async function changeOrganization(
  trx: Transaction,
  id: OrganizationId,
  change: ChangeOrganization,
  actor: Actor,
  expectedVersion?: number,
): Promise<Organization> {
  await lockOrganization(trx, id)
  const before = await readOrganization(trx, id)
  expectVersion(before.version, expectedVersion)
  const after = merged(before, change)
  await refuseDuplicates(
    sql`
    update organization set name = ${after.name}::text, maximum_lease_minutes = ${after.maximumLeaseMinutes}::int,
      break_glass_maximum_minutes = ${after.breakGlassMaximumMinutes}::int, break_glass_grace_minutes = ${after.breakGlassGraceMinutes}::int,
      break_glass_without_provider = ${after.breakGlassWithoutProvider}::boolean, rotation_limit_minutes = ${after.rotationLimitMinutes}::int, version = version + 1 where id = ${id}::uuid`.execute(
      trx,
    ),
  )
  await appendAudit(trx, {
    actor,
    action: 'organization.changed',
    effect: 'permit',
    outcome: 'success',
    organizationId: id,
    detail: { fields: fieldsOf(change) },
  })
  return readOrganization(trx, id)
}

/** Those that take logins for break-glass which the identity provider knows nothing of. */
export async function organizationsWithoutProvider(trx: Transaction): Promise<readonly OrganizationId[]> {
  const { rows } = await sql<{ id: OrganizationId }>`select id from organization where break_glass_without_provider`.execute(trx)
  return rows.map(({ id }) => id)
}

/** Serialises changes of one organization; readers and new vaults do not wait for it. */
export async function lockOrganization(trx: Transaction, id: OrganizationId): Promise<void> {
  const { rows } = await sql`select from organization where id = ${id}::uuid for no key update`.execute(trx)
  if (rows.length === 0) throw new LeaseholdError('not-found')
}

import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { UserId } from '#schemas/ids.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import type { ChangeRole, CreateRole, Role } from '#schemas/role.ts'
import { oweUserReviews, type AccessSubject } from './owe-access-review.ts'
import { appendAudit } from './audit.ts'
import type { Change } from './change.ts'
import type { Transaction } from './connection.ts'
import { merged } from './merged.ts'
import { isGivenRole } from './owners.ts'
import { pageClause } from './page.ts'
import { expectVersion, refuseDuplicates } from './refusals.ts'

const roles = sql`
  select r.id, r.name, r.description, r.owner, r.version, r.created_at as "createdAt",
    array(select p.permission from role_permission p where p.role_id = r.id order by p.permission) as permissions
  from role r where r.deleted_at is null`

type Row = Omit<Role, 'createdAt'> & { readonly createdAt: Date }
const fromRow = (row: Row): Role => ({ ...row, createdAt: row.createdAt.toISOString() })

/** @throws LeaseholdError `not-found` */
export async function readRole(trx: Transaction, id: string): Promise<Role> {
  const { rows } = await sql<Row>`${roles} and r.id = ${id}::uuid`.execute(trx)
  if (rows[0] === undefined) throw new LeaseholdError('not-found')
  return fromRow(rows[0])
}

export async function listRoles(trx: Transaction, page: PageRequest): Promise<Page<Role>> {
  const { rows } = await sql<Row>`${roles} ${pageClause(sql`r.id`, page)}`.execute(trx)
  return toPage(rows.map(fromRow), page.limit)
}

/** @throws LeaseholdError `already-exists` (the name is taken) */
export async function createRole(trx: Transaction, id: string, { name, description, permissions }: CreateRole, actor: Actor): Promise<Role> {
  await refuseDuplicates(sql`insert into role (id, name, description) values (${id}::uuid, ${name}::text, ${description ?? null}::text)`.execute(trx))
  await setPermissions(trx, id, permissions)
  await appendAudit(trx, { actor, action: 'role.created', effect: 'permit', outcome: 'success', detail: { roleId: id, permissions } })
  return readRole(trx, id)
}

/**
 * Changes a role. The lock comes first, so that a checkout which rests on the role is either visible to the review of leases
 * afterwards or sees what became of the role.
 *
 * @returns the role, and the users whose leases must be looked at
 * @throws LeaseholdError `not-found`, `forbidden`, `precondition-failed`, `already-exists`
 */
export async function changeRole(
  trx: Transaction,
  { id, caller, actor, expectedVersion }: Change,
  change: ChangeRole,
): Promise<{ role: Role; review: readonly AccessSubject[] }> {
  const before = await lockRole(trx, id, expectedVersion)
  if (!caller.owner && (await isGivenRole(trx, caller.userId, id)))
    throw new LeaseholdError('forbidden', { missing: 'another person: nobody changes a role of their own' })
  const after = merged(before, change)
  await refuseDuplicates(
    sql`update role set name = ${after.name}::text, description = ${after.description}::text, version = version + 1 where id = ${id}::uuid`.execute(trx),
  )
  if (change.permissions !== undefined) await setPermissions(trx, id, change.permissions)
  await appendAudit(trx, {
    actor,
    action: 'role.changed',
    effect: 'permit',
    outcome: 'success',
    detail: { roleId: id, before: before.permissions, after: after.permissions },
  })
  const lost = before.permissions.some((permission) => !after.permissions.includes(permission))
  return { role: await readRole(trx, id), review: lost ? await oweUserReviews(trx, await holdersOf(trx, id)) : [] }
}

/** @throws LeaseholdError `not-found`, `forbidden` (the role of owners), `in-use`, `precondition-failed` */
export async function deleteRole(trx: Transaction, { id, actor, expectedVersion }: Change): Promise<void> {
  await lockRole(trx, id, expectedVersion)
  const { rows } = await sql`select from role_assignment where role_id = ${id}::uuid and valid_to is null limit 1`.execute(trx)
  if (rows.length > 0) throw new LeaseholdError('in-use')
  await sql`update role set deleted_at = app_clock(), version = version + 1 where id = ${id}::uuid`.execute(trx)
  await appendAudit(trx, { actor, action: 'role.deleted', effect: 'permit', outcome: 'success', detail: { roleId: id } })
}

async function lockRole(trx: Transaction, id: string, expectedVersion: number | undefined): Promise<Role> {
  await sql`select from role where id = ${id}::uuid and deleted_at is null for update`.execute(trx)
  const role = await readRole(trx, id)
  if (role.owner) throw new LeaseholdError('forbidden', { missing: 'another role: that of account owners stays as it is' })
  expectVersion(role.version, expectedVersion)
  return role
}

async function setPermissions(trx: Transaction, id: string, permissions: readonly string[]): Promise<void> {
  await sql`delete from role_permission where role_id = ${id}::uuid and permission <> all(${permissions}::text[])`.execute(trx)
  await sql`insert into role_permission (role_id, permission) select ${id}::uuid, unnest(${permissions}::text[]) on conflict do nothing`.execute(trx)
}

async function holdersOf(trx: Transaction, roleId: string): Promise<UserId[]> {
  const { rows } = await sql<{ id: UserId }>`select distinct user_id as id from held_role where role_id = ${roleId}::uuid`.execute(trx)
  return rows.map((row) => row.id)
}

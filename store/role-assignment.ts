import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { PrincipalRef } from '#schemas/grant.ts'
import type { OrganizationId, UserId } from '#schemas/ids.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import type { Principal } from '#schemas/principal.ts'
import type { CreateRoleAssignment, RoleAssignment } from '#schemas/role.ts'
import { oweUserReviews, type AccessSubject } from './owe-access-review.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { findDirectoryRecord, refuseSelf } from './idp.ts'
import { keepingAnOwner } from './owners.ts'
import { pageClause } from './page.ts'
import { refuseDuplicates, refuseFaults } from './refusals.ts'
import { readRole } from './role.ts'

const assignments = sql`
  select a.id, a.role_id as "roleId", a.organization_id as "organizationId", a.valid_from as "validFrom", a.valid_to as "validTo", a.created_by as "createdBy",
    jsonb_build_object('type', case when a.idp_group_id is null then 'user' else 'group' end, 'id', coalesce(a.user_id, a.idp_user_id, a.idp_group_id),
      'name', coalesce(u.name, u.email, u.sub, d.name, d.email, g.name)) as principal,
    case when a.valid_to is null then 'active' else 'ended' end as state
  from role_assignment a left join account_user u on u.id = a.user_id left join idp_user d on d.id = a.idp_user_id left join idp_group g on g.id = a.idp_group_id`

type Row = Omit<RoleAssignment, 'validFrom' | 'validTo'> & { readonly validFrom: Date; readonly validTo: Date | null }
const fromRow = (row: Row): RoleAssignment => ({ ...row, validFrom: row.validFrom.toISOString(), validTo: row.validTo?.toISOString() ?? null })

/** @throws LeaseholdError `not-found` */
export async function readAssignment(trx: Transaction, roleId: string, id: string): Promise<RoleAssignment> {
  const { rows } = await sql<Row>`${assignments} where a.id = ${id}::uuid and a.role_id = ${roleId}::uuid`.execute(trx)
  if (rows[0] === undefined) throw new LeaseholdError('not-found')
  return fromRow(rows[0])
}

/** Who holds a role now. */
export async function listAssignments(trx: Transaction, roleId: string, page: PageRequest): Promise<Page<RoleAssignment>> {
  await readRole(trx, roleId)
  const { rows } = await sql<Row>`${assignments} where a.role_id = ${roleId}::uuid and a.valid_to is null ${pageClause(sql`a.id`, page)}`.execute(trx)
  return toPage(rows.map(fromRow), page.limit)
}

export interface Assigning {
  readonly id: string
  readonly roleId: string
  readonly caller: Principal
  readonly actor: Actor
}

/**
 * Gives a role. Nobody gives one to themselves unless owner, and only owners make owners.
 *
 * @throws LeaseholdError `not-found` (role, principal or organization), `forbidden`, `validation-failed`, `already-exists`
 */
export async function assignRole(trx: Transaction, { id, roleId, caller, actor }: Assigning, body: CreateRoleAssignment): Promise<RoleAssignment> {
  await sql`select from role where id = ${roleId}::uuid and deleted_at is null for key share`.execute(trx)
  const role = await readRole(trx, roleId)
  const holder = await findHolder(trx, body.principal, caller)
  refuseSelf(caller, holder)
  const organizationId = body.organizationId ?? null
  if (role.owner) await refuseWeakOwner(caller, holder, organizationId)
  await refuseDuplicates(
    sql`insert into role_assignment (id, role_id, user_id, idp_user_id, idp_group_id, organization_id, created_by)
      values (${id}::uuid, ${roleId}::uuid, ${holder.userId ?? null}::uuid, ${holder.idpUserId ?? null}::uuid, ${holder.groupId ?? null}::uuid,
        ${organizationId}::uuid, ${caller.userId}::uuid)`.execute(trx),
  )
  await record(trx, actor, 'role.assigned', { id, roleId, organizationId, principal: body.principal })
  return readAssignment(trx, roleId, id)
}

/**
 * Takes a role away: from the commit on nobody does anything by it. Taking it away twice changes nothing.
 *
 * @returns whose leases must be looked at; undefined: it had ended before
 * @throws LeaseholdError `not-found`, `forbidden` (an owner's, unless by an owner), `last-owner`
 */
export async function endAssignment(
  trx: Transaction,
  { id, roleId, caller, actor }: Omit<Assigning, 'caller'> & { readonly caller: Pick<Principal, 'owner'> },
): Promise<readonly AccessSubject[] | undefined> {
  const { owner } = await readRole(trx, roleId)
  if (owner && !caller.owner) throw new LeaseholdError('forbidden', { missing: 'to be an owner of the account' })
  return keepingAnOwner(trx, async () => {
    await sql`select from role_assignment where id = ${id}::uuid for update`.execute(trx)
    const assignment = await readAssignment(trx, roleId, id)
    if (assignment.state === 'ended') return undefined
    const { rows } = await sql<{ id: UserId }>`select distinct user_id as id from held_role where assignment_id = ${id}::uuid`.execute(trx)
    await sql`update role_assignment set valid_to = app_clock() where id = ${id}::uuid`.execute(trx)
    await record(trx, actor, 'role.unassigned', assignment)
    return oweUserReviews(
      trx,
      rows.map((row) => row.id),
    )
  })
}

interface Holder {
  readonly userId?: string
  readonly idpUserId?: string
  readonly groupId?: string
  readonly includes: boolean
  readonly byClaims: boolean
}

/** A directory record, or a user who has none. */
async function findHolder(trx: Transaction, principal: PrincipalRef, caller: Principal): Promise<Holder> {
  if (principal.type === 'user') {
    const { rows } = await sql`
      select from account_user u where u.id = ${principal.id}::uuid and not exists (select from idp_user d where d.user_id = u.id)`.execute(trx)
    if (rows.length > 0) return { userId: principal.id, includes: principal.id === caller.userId, byClaims: false }
  }
  const { type, id, includes, byClaims } = await findDirectoryRecord(trx, principal, caller)
  if (type === 'user') return { idpUserId: id, includes, byClaims: false }
  await sql`select from idp_group where id = ${id}::uuid for key share`.execute(trx)
  return { groupId: id, includes, byClaims }
}

/** Owners are made by owners, for the whole account, and never by what a token says. */
function refuseWeakOwner(caller: Principal, { byClaims }: Holder, organizationId: OrganizationId | null): void {
  if (!caller.owner) throw new LeaseholdError('forbidden', { missing: 'to be an owner of the account' })
  refuseFaults([
    ...(organizationId === null ? [] : [{ path: 'organizationId', message: 'must be absent: owners own the account' }]),
    ...(byClaims ? [{ path: 'principal', message: 'must not be a group whose members follow from claims' }] : []),
  ])
}

async function record(
  trx: Transaction,
  actor: Actor,
  action: string,
  { id, roleId, organizationId, principal }: Pick<RoleAssignment, 'id' | 'roleId' | 'organizationId'> & { readonly principal: PrincipalRef },
): Promise<void> {
  const detail = { assignmentId: id, roleId, principal: { type: principal.type, id: principal.id } }
  await appendAudit(trx, { actor, action, effect: 'permit', outcome: 'success', ...(organizationId === null ? {} : { organizationId }), detail })
}

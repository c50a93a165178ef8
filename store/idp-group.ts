import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import type { ChangeIdpGroup, CreateIdpGroup, IdpGroup, Member } from '#schemas/directory.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { UserId } from '#schemas/ids.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import type { Principal } from '#schemas/principal.ts'
import { oweUserReviews, type AccessSubject } from './owe-access-review.ts'
import { appendAudit } from './audit.ts'
import type { Change } from './change.ts'
import type { Transaction } from './connection.ts'
import { findDirectoryRecord, refuseSelf } from './idp.ts'
import { merged } from './merged.ts'
import { keepingAnOwner } from './owners.ts'
import { pageClause } from './page.ts'
import { expectVersion, refuseDuplicates } from './refusals.ts'

const groups = sql`
  select g.id, g.name, g.source, g.version, g.created_at as "createdAt",
    (select count(*)::int from idp_group_member m where m.group_id = g.id and m.valid_to is null) as members
  from idp_group g where g.deleted_at is null`

type Row = Omit<IdpGroup, 'createdAt'> & { readonly createdAt: Date }
const fromRow = (row: Row): IdpGroup => ({ ...row, createdAt: row.createdAt.toISOString() })

/** @throws LeaseholdError `not-found` */
export async function readGroup(trx: Transaction, id: string): Promise<IdpGroup> {
  const { rows } = await sql<Row>`${groups} and g.id = ${id}::uuid`.execute(trx)
  if (rows[0] === undefined) throw new LeaseholdError('not-found')
  return fromRow(rows[0])
}

export async function listGroups(trx: Transaction, page: PageRequest): Promise<Page<IdpGroup>> {
  const { rows } = await sql<Row>`${groups} ${pageClause(sql`g.id`, page)}`.execute(trx)
  return toPage(rows.map(fromRow), page.limit)
}

/** @throws LeaseholdError `already-exists` (the name is taken), `forbidden` (a group by claims) */
export async function createGroup(trx: Transaction, { id, caller, actor }: Change, { name, source }: CreateIdpGroup): Promise<IdpGroup> {
  refuseClaimsGroup(caller, source)
  await refuseDuplicates(sql`insert into idp_group (id, name, source) values (${id}::uuid, ${name}::text, ${source}::text)`.execute(trx))
  await record(trx, actor, 'idp_group.created', { groupId: id, source })
  return readGroup(trx, id)
}

/** @throws LeaseholdError `not-found`, `precondition-failed`, `already-exists`, `forbidden` */
export async function changeGroup(trx: Transaction, { id, caller, actor, expectedVersion }: Change, change: ChangeIdpGroup): Promise<IdpGroup> {
  const before = await lockGroup(trx, id)
  refuseClaimsGroup(caller, before.source)
  await refuseOwnersGroup(trx, id, caller)
  expectVersion(before.version, expectedVersion)
  const { name } = merged(before, change)
  await refuseDuplicates(sql`update idp_group set name = ${name}::text, version = version + 1 where id = ${id}::uuid`.execute(trx))
  await record(trx, actor, 'idp_group.changed', { groupId: id })
  return readGroup(trx, id)
}

/**
 * Deletes a group: memberships, grants and roles of it end. The rows stay for "as of" questions.
 *
 * @returns whose leases must be looked at
 * @throws LeaseholdError `not-found`, `precondition-failed`, `forbidden`, `last-owner`
 */
export async function deleteGroup(trx: Transaction, { id, caller, actor, expectedVersion }: Change): Promise<readonly AccessSubject[]> {
  return keepingAnOwner(trx, async () => {
    const group = await lockGroup(trx, id)
    refuseClaimsGroup(caller, group.source)
    await refuseOwnersGroup(trx, id, caller)
    expectVersion(group.version, expectedVersion)
    const { rows } = await sql<{ user_id: UserId | null }>`
      with member as (select m.id, m.idp_user_id from idp_group_member m where m.group_id = ${id}::uuid and m.valid_to is null order by m.id for update)
      select d.user_id from member m join idp_user d on d.id = m.idp_user_id`.execute(trx)
    await sql`update idp_group_member set valid_to = app_clock() where group_id = ${id}::uuid and valid_to is null`.execute(trx)
    await sql`update vault_grant set valid_to = app_clock() where idp_group_id = ${id}::uuid and valid_to is null`.execute(trx)
    await sql`update role_assignment set valid_to = app_clock() where idp_group_id = ${id}::uuid and valid_to is null`.execute(trx)
    await sql`update idp_group set deleted_at = app_clock(), version = version + 1 where id = ${id}::uuid`.execute(trx)
    await record(trx, actor, 'idp_group.deleted', { groupId: id })
    return oweUserReviews(
      trx,
      rows.flatMap((row) => row.user_id ?? []),
    )
  })
}

export async function listMembers(trx: Transaction, groupId: string, page: PageRequest): Promise<Page<Member>> {
  await readGroup(trx, groupId)
  const { rows } = await sql<Omit<Member, 'since'> & { readonly since: Date }>`
    select m.id, d.id as "idpUserId", d.email, d.name, m.valid_from as since from idp_group_member m join idp_user d on d.id = m.idp_user_id
    where m.group_id = ${groupId}::uuid and m.valid_to is null ${pageClause(sql`m.id`, page)}`.execute(trx)
  return toPage(
    rows.map((row) => ({ ...row, since: row.since.toISOString() })),
    page.limit,
  )
}

/**
 * Puts somebody into a group. Who is in it stays in it.
 *
 * @throws LeaseholdError `not-found`, `forbidden` (oneself, or a group of owners), `members-follow-claims`
 */
export async function addMember(trx: Transaction, { id, caller, actor }: Change, idpUserId: string): Promise<void> {
  refuseClaims(await lockGroup(trx, id))
  refuseSelf(caller, await findDirectoryRecord(trx, { type: 'user', id: idpUserId }, caller))
  await refuseOwnersGroup(trx, id, caller)
  const { rows } = await sql`
    insert into idp_group_member (group_id, idp_user_id) select ${id}::uuid, d.id from idp_user d where d.id = ${idpUserId}::uuid
    on conflict do nothing returning 1`.execute(trx)
  if (rows.length > 0) await record(trx, actor, 'idp_group.member_added', { groupId: id, idpUserId })
}

/**
 * Takes somebody out of a group, from the next request on. Who is not in it stays out.
 *
 * @returns whose leases must be looked at
 * @throws LeaseholdError `not-found`, `forbidden` (a group of owners), `members-follow-claims`, `last-owner`
 */
export async function removeMember(trx: Transaction, { id, caller, actor }: Change, idpUserId: string): Promise<readonly AccessSubject[]> {
  return keepingAnOwner(trx, async () => {
    refuseClaims(await lockGroup(trx, id))
    await refuseOwnersGroup(trx, id, caller)
    const { rows } = await sql<{ id: string; user_id: UserId | null }>`
      select m.id, (select d.user_id from idp_user d where d.id = m.idp_user_id) as user_id from idp_group_member m
      where m.group_id = ${id}::uuid and m.idp_user_id = ${idpUserId}::uuid and m.valid_to is null for update`.execute(trx)
    if (rows[0] === undefined) return []
    await sql`update idp_group_member set valid_to = app_clock() where id = ${rows[0].id}::uuid`.execute(trx)
    await record(trx, actor, 'idp_group.member_removed', { groupId: id, idpUserId })
    return rows[0].user_id === null ? [] : oweUserReviews(trx, [rows[0].user_id])
  })
}

async function lockGroup(trx: Transaction, id: string): Promise<IdpGroup> {
  await sql`select from idp_group where id = ${id}::uuid and deleted_at is null for update`.execute(trx)
  return readGroup(trx, id)
}

/** Another name is other members, and whoever makes or names such a group may be in it by their next token. */
function refuseClaimsGroup(caller: Principal, source: IdpGroup['source']): void {
  if (source === 'claims' && !caller.owner) throw new LeaseholdError('forbidden', { missing: 'to be an owner of the account' })
}

function refuseClaims({ source }: IdpGroup): void {
  if (source === 'claims') throw new LeaseholdError('members-follow-claims')
}

/** Whoever is in such a group owns the account: only owners decide about it. */
async function refuseOwnersGroup(trx: Transaction, id: string, caller: Principal): Promise<void> {
  if (caller.owner) return
  const { rows } = await sql`
    select from role_assignment a join role r on r.id = a.role_id where a.idp_group_id = ${id}::uuid and a.valid_to is null and r.owner limit 1`.execute(trx)
  if (rows.length > 0) throw new LeaseholdError('forbidden', { missing: 'to be an owner of the account' })
}

async function record(trx: Transaction, actor: Actor, action: string, detail: Readonly<Record<string, unknown>>): Promise<void> {
  await appendAudit(trx, { actor, action, effect: 'permit', outcome: 'success', detail })
}

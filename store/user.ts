import { sql, type RawBuilder } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { UserId } from '#schemas/ids.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import type { ChangeUser, User } from '#schemas/user.ts'
import { oweAccessReview } from './access-review.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { pageClause } from './page.ts'
import { expectVersion } from './refusals.ts'

/** Whether user `id` holds an owner role in the whole account now, directly or through a group. */
const isOwner = (id: RawBuilder<unknown>): RawBuilder<boolean> => sql<boolean>`exists (
  select from role_assignment a join role r on r.id = a.role_id
  where r.owner and a.organization_id is null and a.valid_from <= app_clock() and (a.valid_to is null or a.valid_to > app_clock())
    and (a.user_id = ${id} or a.idp_group_id in (
      select m.group_id from idp_group_member m join idp_user d on d.id = m.idp_user_id
      where d.user_id = ${id} and d.state = 'active' and m.valid_from <= app_clock() and (m.valid_to is null or m.valid_to > app_clock()))))`

const users = sql`
  select u.id, u.iss, u.sub, u.name, u.email, u.state, u.version, u.created_at as "createdAt", ${isOwner(sql`u.id`)} as owner from account_user u`

type Row = Omit<User, 'createdAt'> & { readonly createdAt: Date }
const fromRow = (row: Row): User => ({ ...row, createdAt: row.createdAt.toISOString() })

/** @throws LeaseholdError `not-found` */
export async function readUser(trx: Transaction, id: UserId): Promise<User> {
  const { rows } = await sql<Row>`${users} where u.id = ${id}::uuid`.execute(trx)
  if (rows[0] === undefined) throw new LeaseholdError('not-found')
  return fromRow(rows[0])
}

export async function listUsers(trx: Transaction, page: PageRequest): Promise<Page<User>> {
  const { rows } = await sql<Row>`${users} where true ${pageClause(sql`u.id`, page)}`.execute(trx)
  return toPage(rows.map(fromRow), page.limit)
}

/**
 * Disables a user, or lets them in again. The lock comes first: a checkout in the middle of its decision holds the row
 * `FOR KEY SHARE`, so either it is visible to the review of leases afterwards or it sees that the user is disabled.
 *
 * @throws LeaseholdError `not-found`, `precondition-failed`, `last-owner`
 */
export async function changeUser(trx: Transaction, id: UserId, { state }: ChangeUser, actor: Actor, expectedVersion?: number): Promise<User> {
  await lockWithOwners(trx, id)
  const before = await readUser(trx, id)
  expectVersion(before.version, expectedVersion)
  if (before.state === state) return before
  if (state === 'disabled' && before.owner && !(await otherOwner(trx, id))) throw new LeaseholdError('last-owner')
  await sql`update account_user set state = ${state}::text, version = version + 1 where id = ${id}::uuid`.execute(trx)
  await appendAudit(trx, { actor, action: state === 'disabled' ? 'user.disabled' : 'user.enabled', effect: 'permit', outcome: 'success', userId: id })
  if (state === 'disabled') await oweAccessReview(trx, { userId: id })
  return readUser(trx, id)
}

/** All owners too, in one order: two owners who disable each other must not both be the other's "other owner". */
async function lockWithOwners(trx: Transaction, id: UserId): Promise<void> {
  await sql`select from account_user u where u.id = ${id}::uuid or ${isOwner(sql`u.id`)} order by u.id for update`.execute(trx)
}

async function otherOwner(trx: Transaction, id: UserId): Promise<boolean> {
  const { rows } = await sql`select from account_user u where u.id <> ${id}::uuid and u.state = 'active' and ${isOwner(sql`u.id`)} limit 1`.execute(trx)
  return rows.length > 0
}

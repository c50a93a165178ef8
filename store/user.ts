import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { UserId } from '#schemas/ids.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import type { ChangeUser, CreateUser, User } from '#schemas/user.ts'
import { oweAccessReview } from './owe-access-review.ts'
import { appendAudit } from './audit.ts'
import type { Change } from './change.ts'
import type { Transaction } from './connection.ts'
import { keepingAnOwner, refuseOwnersMatter } from './owners.ts'
import { pageClause } from './page.ts'
import { expectVersion, refuseDuplicates } from './refusals.ts'

const users = sql`
  select u.id, u.iss, u.sub, u.name, u.email, u.state, u.version, u.created_at as "createdAt",
    exists (select from held_role h where h.user_id = u.id and h.owner and h.organization_id is null) as owner from account_user u`

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
 * Lets in whoever brings tokens of `iss` for `sub`, without a right to anything yet.
 *
 * @throws LeaseholdError `already-exists` (somebody is known by it, here or elsewhere)
 */
export async function createUser(trx: Transaction, { id, iss }: { readonly id: UserId; readonly iss: string }, body: CreateUser, actor: Actor): Promise<User> {
  await refuseDuplicates(
    sql`insert into account_user (id, iss, sub, name) values (${id}::uuid, ${iss}::text, ${body.sub}::text, ${body.name ?? null}::text)`.execute(trx),
  )
  await refuseDuplicates(
    sql`insert into login (iss, sub, account_id, user_id) values (${iss}::text, ${body.sub}::text, current_account(), ${id}::uuid)`.execute(trx),
  )
  await appendAudit(trx, { actor, action: 'user.created', effect: 'permit', outcome: 'success', userId: id })
  return readUser(trx, id)
}

/**
 * Disables a user, or lets them in again. The lock comes first: a checkout in the middle of its decision holds the row
 * `FOR KEY SHARE`, so either it is visible to the review of leases afterwards or it sees that the user is disabled.
 *
 * @throws LeaseholdError `not-found`, `forbidden` (oneself, or an owner unless by an owner), `precondition-failed`, `last-owner`
 */
export async function changeUser(trx: Transaction, { id, caller, actor, expectedVersion }: Change<UserId>, { state }: ChangeUser): Promise<User> {
  return keepingAnOwner(trx, async () => {
    await sql`select from account_user where id = ${id}::uuid for update`.execute(trx)
    const before = await readUser(trx, id)
    await refuseOwnersMatter(trx, caller, id)
    expectVersion(before.version, expectedVersion)
    if (before.state === state) return before
    await sql`update account_user set state = ${state}::text, version = version + 1 where id = ${id}::uuid`.execute(trx)
    await appendAudit(trx, { actor, action: state === 'disabled' ? 'user.disabled' : 'user.enabled', effect: 'permit', outcome: 'success', userId: id })
    if (state === 'disabled') await oweAccessReview(trx, { userId: id })
    return readUser(trx, id)
  })
}

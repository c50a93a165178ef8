import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { UserId } from '#schemas/ids.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import type { CreateSupportUser, SupportUser } from '#schemas/support-access.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { pageClause } from './page.ts'
import { refuseDuplicates } from './refusals.ts'

const users = sql`
  select u.id, u.iss, u.sub, u.email, u.name, d.id as "idpUserId", u.state, u.created_at as "createdAt"
  from account_user u join idp_user d on d.user_id = u.id where u.support`

type Row = Omit<SupportUser, 'createdAt'> & { readonly createdAt: Date }
const fromRow = (row: Row): SupportUser => ({ ...row, createdAt: row.createdAt.toISOString() })

/** @throws LeaseholdError `not-found` */
export async function readSupportUser(trx: Transaction, id: UserId): Promise<SupportUser> {
  const { rows } = await sql<Row>`${users} and u.id = ${id}::uuid`.execute(trx)
  if (rows[0] === undefined) throw new LeaseholdError('not-found')
  return fromRow(rows[0])
}

export async function listSupportUsers(trx: Transaction, page: PageRequest): Promise<Page<SupportUser>> {
  const { rows } = await sql<Row>`${users} ${pageClause(sql`u.id`, page)}`.execute(trx)
  return toPage(rows.map(fromRow), page.limit)
}

/**
 * Names one of the support staff: the account of their tokens follows from (iss, sub) as anybody's does. They have a directory
 * record from the start, so that vault access can be granted to them.
 *
 * @throws LeaseholdError `already-exists` (somebody is known by it, here or elsewhere)
 */
export async function createSupportUser(
  trx: Transaction,
  { id, iss }: { readonly id: UserId; readonly iss: string },
  { sub, email, name }: CreateSupportUser,
  actor: Actor,
): Promise<SupportUser> {
  await refuseDuplicates(
    sql`insert into account_user (id, iss, sub, email, name, support) values (${id}::uuid, ${iss}::text, ${sub}::text, ${email}::text, ${name ?? null}::text, true)`.execute(
      trx,
    ),
  )
  await refuseDuplicates(
    sql`insert into login (iss, sub, account_id, user_id) values (${iss}::text, ${sub}::text, current_account(), ${id}::uuid)`.execute(trx),
  )
  await refuseDuplicates(
    sql`insert into idp_user (email, name, user_id, linked_at) values (${email}::text, ${name ?? null}::text, ${id}::uuid, app_clock())`.execute(trx),
  )
  await appendAudit(trx, { actor, action: 'support-access.user-added', effect: 'permit', outcome: 'success', userId: id })
  return readSupportUser(trx, id)
}

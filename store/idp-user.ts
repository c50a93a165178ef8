import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import type { ChangeIdpUser, CreateIdpUser, IdpUser } from '#schemas/directory.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import { oweUserReviews, type AccessSubject } from './owe-access-review.ts'
import { appendAudit } from './audit.ts'
import type { Change } from './change.ts'
import type { Transaction } from './connection.ts'
import { fieldsOf, merged } from './merged.ts'
import { keepingAnOwner, refuseOwnersMatter } from './owners.ts'
import { pageClause } from './page.ts'
import { expectVersion, refuseDuplicates } from './refusals.ts'

const records = sql`
  select id, email, name, state, user_id as "userId", linked_at as "linkedAt", version, created_at as "createdAt" from idp_user where true`

type Row = Omit<IdpUser, 'createdAt' | 'linkedAt'> & { readonly createdAt: Date; readonly linkedAt: Date | null }
const fromRow = (row: Row): IdpUser => ({ ...row, createdAt: row.createdAt.toISOString(), linkedAt: row.linkedAt?.toISOString() ?? null })

/** @throws LeaseholdError `not-found` */
export async function readIdpUser(trx: Transaction, id: string): Promise<IdpUser> {
  const { rows } = await sql<Row>`${records} and id = ${id}::uuid`.execute(trx)
  if (rows[0] === undefined) throw new LeaseholdError('not-found')
  return fromRow(rows[0])
}

export async function listIdpUsers(trx: Transaction, page: PageRequest): Promise<Page<IdpUser>> {
  const { rows } = await sql<Row>`${records} ${pageClause(sql`id`, page)}`.execute(trx)
  return toPage(rows.map(fromRow), page.limit)
}

/** @throws LeaseholdError `already-exists` (the address, in any case) */
export async function createIdpUser(trx: Transaction, id: string, { email, name }: CreateIdpUser, actor: Actor): Promise<IdpUser> {
  await refuseDuplicates(sql`insert into idp_user (id, email, name) values (${id}::uuid, ${email}::text, ${name ?? null}::text)`.execute(trx))
  await appendAudit(trx, { actor, action: 'idp_user.created', effect: 'permit', outcome: 'success', detail: { idpUserId: id } })
  return readIdpUser(trx, id)
}

/**
 * Renames a record, or disables it: what was granted to it or to its groups no longer counts, from the next request on.
 *
 * @returns the record, and the users whose leases must be looked at
 * @throws LeaseholdError `not-found`, `forbidden` (one's own, or an owner's unless by an owner), `precondition-failed`, `last-owner`
 */
export async function changeIdpUser(
  trx: Transaction,
  { id, caller, actor, expectedVersion }: Change,
  change: ChangeIdpUser,
): Promise<{ idpUser: IdpUser; review: readonly AccessSubject[] }> {
  return keepingAnOwner(trx, async () => {
    await sql`select from idp_user where id = ${id}::uuid for update`.execute(trx)
    const before = await readIdpUser(trx, id)
    expectVersion(before.version, expectedVersion)
    const { name, state } = merged(before, change)
    if (state !== before.state) await refuseOwnersMatter(trx, caller, before.userId)
    await sql`update idp_user set name = ${name}::text, state = ${state}::text, version = version + 1 where id = ${id}::uuid`.execute(trx)
    await appendAudit(trx, {
      actor,
      action: 'idp_user.changed',
      effect: 'permit',
      outcome: 'success',
      detail: { idpUserId: id, fields: fieldsOf(change), state },
    })
    const review = state === 'disabled' && before.userId !== null ? await oweUserReviews(trx, [before.userId]) : []
    return { idpUser: await readIdpUser(trx, id), review }
  })
}

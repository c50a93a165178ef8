import { sql } from 'kysely'
import { LeaseholdError } from '#schemas/errors.ts'
import type { PrincipalEntry, PrincipalRef } from '#schemas/grant.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import type { Principal } from '#schemas/principal.ts'
import type { Transaction } from './connection.ts'
import { pageClause } from './page.ts'

/** Directory records, users and groups alike. */
const entries = sql`(
  select 'user' as type, id, coalesce(name, email) as name, email, user_id, false as by_claims from idp_user where state = 'active'
  union all select 'group', id, name, null, null, source = 'claims' from idp_group where deleted_at is null
)`

/**
 * Users and groups of the identity provider whose name or email contains `query`, in any case.
 *
 * @param query empty: all
 */
export async function searchPrincipals(trx: Transaction, query: string, page: PageRequest): Promise<Page<PrincipalEntry>> {
  const pattern = `%${query.replaceAll(/[\\%_]/g, String.raw`\$&`)}%`
  const { rows } = await sql<PrincipalEntry>`
    select type, id, name, email from ${entries} e where (name ilike ${pattern}::text or email ilike ${pattern}::text) ${pageClause(sql`id`, page)}`.execute(
    trx,
  )
  return toPage(rows, page.limit)
}

export interface DirectoryRecord {
  readonly type: 'user' | 'group'
  readonly id: string
  /** Whether the record is the caller's, or could become theirs (it waits for its person, and they have none), or is a group that they are in. */
  readonly includes: boolean
  /** Whether the provider decides who is in the group: whoever asks may be in it by their next token. */
  readonly byClaims: boolean
  /** Whether support staff ask, and it is one of them, or a group that one of them is in. */
  readonly isColleague: boolean
}

/**
 * Finds whom something is given to. A user may be named by the directory record or by the user that is linked to it.
 *
 * @throws LeaseholdError `not-found`
 */
export async function findDirectoryRecord(trx: Transaction, principal: PrincipalRef, caller: Principal): Promise<DirectoryRecord> {
  const { rows } = await sql<DirectoryRecord>`
    select e.type, e.id, e.by_claims as "byClaims", (e.user_id is not distinct from ${caller.userId}::uuid or (e.type = 'user' and e.user_id is null and ${caller.idpUserId}::uuid is null) or exists (
      select from idp_group_member m join idp_user u on u.id = m.idp_user_id
      where m.group_id = e.id and m.valid_to is null and u.user_id = ${caller.userId}::uuid)) is true as includes,
      ${caller.support !== null}::boolean and exists (select from account_user s where s.support and (s.id = e.user_id or s.id in (
        select u.user_id from idp_group_member m join idp_user u on u.id = m.idp_user_id where m.group_id = e.id and m.valid_to is null))) as "isColleague"
    from ${entries} e where e.type = ${principal.type}::text and (e.id = ${principal.id}::uuid or e.user_id = ${principal.id}::uuid)`.execute(trx)
  if (rows[0] === undefined) throw new LeaseholdError('not-found')
  return rows[0]
}

/**
 * Nobody gives rights to themselves, directly or through a group, unless owner; nor do support staff to each other. Who is in a group by claims follows from tokens that
 * nobody has seen yet, so only owners give such a group anything.
 *
 * @throws LeaseholdError `forbidden`
 */
export function refuseSelf(
  caller: Principal,
  { includes, byClaims, isColleague }: Pick<DirectoryRecord, 'includes' | 'byClaims'> & Partial<DirectoryRecord>,
): void {
  if (byClaims && !caller.owner)
    throw new LeaseholdError('forbidden', { missing: 'to be an owner of the account: the members of this group follow from claims' })
  if (isColleague) throw new LeaseholdError('forbidden', { missing: 'somebody of the account: support staff give each other nothing' })
  if (includes && !caller.owner) throw new LeaseholdError('forbidden', { missing: 'another person: nobody grants access to themselves' })
}

import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import type { UserId } from '#schemas/ids.ts'
import { oweUserReviews, type AccessSubject } from './owe-access-review.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'

/** What an access token says of the groups of its user. */
export interface GroupsClaim {
  readonly names: readonly string[]
  /** `iat` of the token: of two claims the newer one holds. */
  readonly issuedAt: Date
}

/**
 * Makes the memberships of one person in groups with source `claims` what the token says. Names of which there is no such group
 * mean nothing: a group exists because somebody here made it.
 *
 * @returns whose leases must be looked at
 */
export async function followGroupsClaim(
  trx: Transaction,
  idpUserId: string,
  userId: UserId,
  claim: GroupsClaim,
  actor: Actor,
): Promise<readonly AccessSubject[]> {
  const { rows } = await sql`
    select from idp_user where id = ${idpUserId}::uuid and (groups_issued_at is null or groups_issued_at < ${claim.issuedAt}::timestamptz) for update`.execute(
    trx,
  )
  if (rows.length === 0) return []
  const wanted = sql`select id from idp_group where source = 'claims' and deleted_at is null and name = any(${claim.names}::text[])`
  const left = await sql<{ group_id: string }>`
    update idp_group_member m set valid_to = app_clock() where m.id in (
      select o.id from idp_group_member o join idp_group g on g.id = o.group_id
      where o.idp_user_id = ${idpUserId}::uuid and o.valid_to is null and g.source = 'claims' and g.id not in (${wanted}) order by o.id for update of o)
    returning m.group_id`.execute(trx)
  const joined = await sql<{ group_id: string }>`
    insert into idp_group_member (group_id, idp_user_id) select w.id, ${idpUserId}::uuid from (${wanted}) w
    on conflict do nothing returning group_id`.execute(trx)
  await sql`update idp_user set groups_issued_at = ${claim.issuedAt}::timestamptz where id = ${idpUserId}::uuid`.execute(trx)
  const changes = { joined: joined.rows.map((row) => row.group_id), left: left.rows.map((row) => row.group_id) }
  if (changes.joined.length + changes.left.length === 0) return []
  await appendAudit(trx, { actor, action: 'user.groups_followed', effect: 'permit', outcome: 'success', userId, detail: { idpUserId, ...changes } })
  return changes.left.length === 0 ? [] : oweUserReviews(trx, [userId])
}

import { sql } from 'kysely'
import { LeaseholdError } from '#schemas/errors.ts'
import type { UserId } from '#schemas/ids.ts'
import type { Principal } from '#schemas/principal.ts'
import type { Transaction } from './connection.ts'

/**
 * Runs a change after which the account might have no owner left, and undoes it when that is so. One such change at a time in
 * an account: of two owners who shut each other out at once, the second one fails.
 *
 * @throws LeaseholdError `last-owner`, and what `change` throws
 */
export async function keepingAnOwner<T>(trx: Transaction, change: () => Promise<T>): Promise<T> {
  await sql`select pg_advisory_xact_lock(hashtextextended('owners ' || current_account()::text, 0))`.execute(trx)
  const result = await change()
  const { rows } = await sql`
    select from held_role h join account_user u on u.id = h.user_id where h.owner and h.organization_id is null and u.state = 'active' limit 1`.execute(trx)
  if (rows.length === 0) throw new LeaseholdError('last-owner')
  return result
}

/**
 * Who owns the account, by whatever path and in whatever state, is decided about by owners alone; and nobody lifts what others have
 * done to them.
 *
 * @throws LeaseholdError `forbidden`
 */
export async function refuseOwnersMatter(trx: Transaction, caller: Principal, userId: UserId | null): Promise<void> {
  if (caller.owner || userId === null) return
  if (userId === caller.userId) throw new LeaseholdError('forbidden', { missing: 'another person: nobody decides about themselves' })
  const { rows } = await sql`
    select from role_assignment a join role r on r.id = a.role_id and r.owner where a.valid_to is null and ${givenTo(userId)} limit 1`.execute(trx)
  if (rows.length > 0) throw new LeaseholdError('forbidden', { missing: 'to be an owner of the account' })
}

/** Whether somebody holds a role by any path, whether or not the path counts now. */
export async function isGivenRole(trx: Transaction, userId: UserId, roleId: string): Promise<boolean> {
  const { rows } = await sql`select from role_assignment a where a.role_id = ${roleId}::uuid and a.valid_to is null and ${givenTo(userId)} limit 1`.execute(trx)
  return rows.length > 0
}

const givenTo = (userId: UserId) => sql<boolean>`(a.user_id = ${userId}::uuid or exists (
  select from idp_user d where d.user_id = ${userId}::uuid and (a.idp_user_id = d.id or a.idp_group_id in (
    select m.group_id from idp_group_member m where m.idp_user_id = d.id and m.valid_to is null))))`

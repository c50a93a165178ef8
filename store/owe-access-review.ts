import { sql } from 'kysely'
import type { UserId, VaultId } from '#schemas/ids.ts'
import type { Transaction } from './connection.ts'
import { owe, oweEach } from './duties.ts'

/** Whose leases are looked at: those from one vault, or those of one person. */
export type AccessSubject = { readonly vaultId: VaultId } | { readonly userId: UserId }

/**
 * Writes down, in the transaction that takes a right away, that the leases which rest on it must end. The caller ends them
 * right after its commit with `reviewLeases`; the duty is for the case that it dies before.
 */
export const oweAccessReview = (trx: Transaction, subject: AccessSubject): Promise<void> =>
  'vaultId' in subject ? owe(trx, 'vault_access', subject.vaultId, { closed: true }) : owe(trx, 'user_access', subject.userId, { closed: true })

/**
 * The same for many users, as far as they hold leases or know values that must die when they may not see them.
 *
 * @returns those whom the caller looks at right after its commit
 */
export async function oweUserReviews(trx: Transaction, userIds: readonly UserId[]): Promise<readonly AccessSubject[]> {
  const { rows } = await sql<{ id: UserId }>`
    select id from unnest(${userIds}::uuid[]) u (id) where exists (select from lease where user_id = u.id and state = 'active')
      or exists (select from exposure e join identity i on i.id = e.identity_id where e.user_id = u.id and e.must_die_at is null and i.rotate_after_access_loss)
    order by id`.execute(trx)
  const holders = rows.map(({ id: userId }) => ({ userId }))
  await oweEach(
    trx,
    'user_access',
    holders.map(({ userId: subjectId }) => ({ subjectId, closed: true })),
  )
  return holders
}

import type { AccountId, UserId } from '#schemas/ids.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'

export interface FirstOwner {
  readonly accountName: string
  readonly userId: UserId
  /** Exact `iss` and `sub` of the owner's access tokens. */
  readonly iss: string
  readonly sub: string
  readonly email: string
  readonly name: string
}

/**
 * Makes an account and the person who owns it: whoever logs in at `iss` as `sub` may then do everything in it, and lets others in.
 * Runs as leasehold_owner at installation, in a transaction of the new account.
 *
 * @throws Error of PostgreSQL when (iss, sub) belongs to somebody already
 */
export async function createFirstOwner(trx: Transaction, accountId: AccountId, owner: FirstOwner): Promise<void> {
  const { accountName, userId, iss, sub, email, name } = owner
  await trx.insertInto('account').values({ id: accountId, name: accountName }).execute()
  await trx.insertInto('account_user').values({ id: userId, iss, sub, email, name }).execute()
  await trx.insertInto('login').values({ iss, sub, account_id: accountId, user_id: userId }).execute()
  const { id: roleId } = await trx.insertInto('role').values({ name: 'Owner', owner: true }).returning('id').executeTakeFirstOrThrow()
  await trx.insertInto('role_assignment').values({ role_id: roleId, user_id: userId }).execute()
  await appendAudit(trx, { actor: { kind: 'system', id: 'install' }, action: 'account.created', effect: 'permit', outcome: 'success', userId, detail: { iss } })
}

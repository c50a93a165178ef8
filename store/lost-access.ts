import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import type { AccountId, IdentityId, OrganizationId, UserId, VaultId } from '#schemas/ids.ts'
import type { Principal } from '#schemas/principal.ts'
import { hasPermission, vaultAccess } from '#schemas/rules/access.ts'
import { oweAccessReview, type AccessSubject } from './owe-access-review.ts'
import { appendAudit } from './audit.ts'
import { lockIdentity } from './checkout-facts.ts'
import type { Db, RunInAccount, Transaction } from './connection.ts'
import { isAlive } from './exposure.ts'
import { readPrincipal } from './principal.ts'
import { isUnchangeable } from './rotatable.ts'
import { beginOwed } from './rotate-onward.ts'

/** Somebody has seen a value of an identity that logs in to this day. */
interface Seen {
  readonly identityId: IdentityId
  readonly vaultId: VaultId
  readonly organizationId: OrganizationId
  readonly userId: UserId
}

/** Exposure `e` of identity `i` is of a version that may log in somewhere, and nothing else has condemned it or will. */
const isLiving = sql<boolean>`e.must_die_at is null
  and ${isAlive}
  and not exists (select from lease l where l.id = e.lease_id and l.state = 'active')`
/** Identity `i` wants it and can be rotated: what nobody could change would only be shut away from those who may use it. */
const isRotated = sql<boolean>`i.rotate_after_access_loss and i.deleted_at is null
  and exists (select from identity_host h where h.identity_id = i.id) and not ${isUnchangeable}`

/**
 * Condemns what people have seen of identities with `rotateAfterAccessLoss` and may not see any more. The rotation begins in the same
 * transaction, or when the last holder leaves. One transaction each; running it twice changes nothing.
 *
 * @param inAccount runs one transaction of the account
 * @param subject whose access has changed: those who have seen something of one vault, or one person
 * @returns how many persons' knowledge of how many identities it condemned
 */
export async function condemnSeen(inAccount: RunInAccount, subject: AccessSubject, actor: Actor): Promise<number> {
  let condemned = 0
  for (const seen of await inAccount((trx) => listSeen(trx, subject))) {
    if (await inAccount((trx) => condemn(trx, seen, actor))) condemned += 1
  }
  return condemned
}

async function listSeen(trx: Transaction, subject: AccessSubject): Promise<readonly Seen[]> {
  const { vaultId = null, userId = null } = subject as { vaultId?: VaultId; userId?: UserId }
  const { rows } = await sql<Seen>`
    select distinct e.identity_id as "identityId", i.vault_id as "vaultId", i.organization_id as "organizationId", e.user_id as "userId"
    from exposure e join identity i on i.id = e.identity_id
    where (i.vault_id = ${vaultId}::uuid or e.user_id = ${userId}::uuid) and ${isRotated} and ${isLiving} order by 1, 4`.execute(trx)
  return rows
}

async function condemn(trx: Transaction, seen: Seen, actor: Actor): Promise<boolean> {
  const { identityId, vaultId, organizationId, userId } = seen
  await lockIdentity(trx, identityId)
  if (maySee(await readPrincipal(trx, userId), seen)) return false
  const { numAffectedRows } = await sql`
    update exposure e set must_die_at = app_clock(), lost_access = true from identity i
    where i.id = ${identityId}::uuid and i.vault_id = ${vaultId}::uuid and e.identity_id = i.id and e.user_id = ${userId}::uuid and ${isRotated} and ${isLiving}`.execute(
    trx,
  )
  if (numAffectedRows === 0n) return false
  await appendAudit(trx, {
    actor,
    action: 'identity.access_lost',
    effect: 'permit',
    outcome: 'success',
    organizationId,
    vaultId,
    identityId,
    userId,
  })
  await beginOwed(trx, [identityId], actor)
  return true
}

const maySee = (person: Principal | undefined, { vaultId, organizationId }: Seen): boolean =>
  person !== undefined && hasPermission(person, 'pam_vaults.view', organizationId) && vaultAccess(person, vaultId, 'view_credentials') !== undefined

export interface EndedGrant {
  readonly accountId: AccountId
  readonly grantId: string
}

/** Grants of all accounts that have ended by themselves and that nobody has looked at since. @param db pool of leasehold_expirer */
export async function listEndedGrants(db: Db, limit: number): Promise<readonly EndedGrant[]> {
  const { rows } = await sql<EndedGrant>`
    select account_id as "accountId", id as "grantId" from vault_grant
    where expires_at is not null and valid_to is null and not end_reviewed and expires_at <= app_clock(account_id) order by expires_at limit ${limit}::int`.execute(
    db,
  )
  return rows
}

/** Owes the review of what a grant gave that has ended by itself, once. */
export async function reviewEndedGrant(trx: Transaction, grantId: string): Promise<void> {
  const { rows } = await sql<{ vaultId: VaultId }>`
    update vault_grant set end_reviewed = true where id = ${grantId}::uuid and not end_reviewed and expires_at <= app_clock() returning vault_id as "vaultId"`.execute(
    trx,
  )
  for (const { vaultId } of rows) await oweAccessReview(trx, { vaultId })
}

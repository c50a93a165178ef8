import type { Principal } from '#schemas/principal.ts'
import { followGroupsClaim } from '#store/claim-groups.ts'
import { inAccount, runnerOf, type Db } from '#store/connection.ts'
import { linkByEmail } from '#store/link.ts'
import type { Caller } from './authenticate.ts'
import { reviewAccess } from './review-access.ts'

/**
 * Lets the directory follow what a valid token says of its user: the verified address of somebody who has no record yet, and the
 * groups of somebody who has one.
 *
 * @returns whether the caller's rights may have changed: they must be read again
 */
export async function followClaims(db: Db, { accountId, userId, token, actor }: Caller, principal: Principal): Promise<boolean> {
  const { email, groups, issuedAt } = token
  const { idpUserId } = principal
  if (idpUserId === null) return email !== undefined && (await inAccount(db, accountId, (trx) => linkByEmail(trx, userId, email, actor)))
  const { groupsIssuedAt } = principal
  // Who has shown groups once and shows none any more is in none: a right must not outlast its end because the claim was left out.
  const names = groups ?? (groupsIssuedAt === null ? undefined : [])
  if (names === undefined || (groupsIssuedAt !== null && groupsIssuedAt >= issuedAt)) return false
  const run = runnerOf(db, accountId)
  await reviewAccess(run, await run((trx) => followGroupsClaim(trx, idpUserId, userId, { names, issuedAt }, actor)), actor)
  return true
}

import { sql } from 'kysely'
import type { IdentityId, UserId } from '#schemas/ids.ts'
import { challengeLife, mostChallenges } from '#schemas/rules/break-glass.ts'
import type { Transaction } from './connection.ts'

/** Whom a challenge was made for, and what: an emergency about one identity, or (null) a new key. */
export interface ChallengePurpose {
  readonly userId: UserId
  readonly identityId: IdentityId | null
}

/**
 * Keeps a challenge until it is signed. Those of the person that have expired go, and of many the oldest.
 *
 * @param challenge 32 random bytes
 * @returns until when it may be signed
 */
export async function keepChallenge(trx: Transaction, challenge: Uint8Array, { userId, identityId }: ChallengePurpose): Promise<Date> {
  await sql`
    delete from security_key_challenge where user_id = ${userId}::uuid and (expires_at <= app_clock() or challenge in (
      select challenge from security_key_challenge where user_id = ${userId}::uuid order by expires_at desc offset ${mostChallenges - 1}::int))`.execute(trx)
  const { rows } = await sql<{ expiresAt: Date }>`
    insert into security_key_challenge (challenge, user_id, identity_id, expires_at)
    values (${challenge}::bytea, ${userId}::uuid, ${identityId}::uuid, app_clock() + make_interval(secs => ${challengeLife}::float8 / 1000))
    returning expires_at as "expiresAt"`.execute(trx)
  return (rows[0] as { expiresAt: Date }).expiresAt
}

/** Whether it was made for this and has not been signed before; from here on it has. */
export async function takeChallenge(trx: Transaction, challenge: Uint8Array, { userId, identityId }: ChallengePurpose): Promise<boolean> {
  const { numAffectedRows } = await sql`
    delete from security_key_challenge where challenge = ${challenge}::bytea and user_id = ${userId}::uuid
      and identity_id is not distinct from ${identityId}::uuid and expires_at > app_clock()`.execute(trx)
  return numAffectedRows === 1n
}

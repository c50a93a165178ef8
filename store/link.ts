import { sql } from 'kysely'
import { v7 as uuidv7 } from 'uuid'
import type { Actor } from '#schemas/audit-event.ts'
import { UserId, type AccountId } from '#schemas/ids.ts'
import { appendAudit } from './audit.ts'
import { inAccount, type Db, type Transaction } from './connection.ts'
import { findLogin } from './principal.ts'

/** What a token says of a person who may be waited for. */
export interface Arrival {
  readonly iss: string
  readonly sub: string
  /** Verified by the issuer; undefined: nobody is waited for by anything else. */
  readonly email: string | undefined
  readonly name: string | undefined
}

type Circumstances = Pick<Actor, 'ip' | 'userAgent' | 'correlationId' | 'traceId'>

/**
 * The first login of somebody: the one directory record that waits for this address, anywhere, is linked to (iss, sub) for good.
 * When two accounts wait for the same address, neither gets the person.
 *
 * @returns undefined: nobody waits
 */
export async function admitByEmail(db: Db, arrival: Arrival, from: Circumstances): Promise<{ accountId: AccountId; userId: UserId } | undefined> {
  if (arrival.email === undefined) return undefined
  const { rows } = await sql<{ accountId: AccountId; idpUserId: string }>`
    select account_id as "accountId", idp_user_id as "idpUserId" from awaited_login where email = lower(${arrival.email}::text) limit 2`.execute(db)
  const [awaited] = rows
  // Two first requests at once: the other one has linked the record meanwhile.
  if (awaited === undefined) return findLogin(db, arrival.iss, arrival.sub)
  if (rows.length > 1) return undefined
  const { accountId, idpUserId } = awaited
  const userId = await inAccount(db, accountId, (trx) => admit(trx, idpUserId, arrival, from))
  return userId === undefined ? findLogin(db, arrival.iss, arrival.sub) : { accountId, userId }
}

async function admit(trx: Transaction, idpUserId: string, { iss, sub, email, name }: Arrival, from: Circumstances): Promise<UserId | undefined> {
  const { rows } = await sql`select from idp_user where ${waiting} and id = ${idpUserId}::uuid for update`.execute(trx)
  if (rows.length === 0) return undefined
  const userId = UserId.parse(uuidv7())
  await sql`insert into account_user (id, iss, sub, email, name)
    values (${userId}::uuid, ${iss}::text, ${sub}::text, ${email}::text, ${name ?? null}::text)`.execute(trx)
  await sql`insert into login (iss, sub, account_id, user_id) values (${iss}::text, ${sub}::text, current_account(), ${userId}::uuid)`.execute(trx)
  await link(trx, idpUserId, userId, { kind: 'user', id: userId, iss, sub, ...from })
  return userId
}

/**
 * Somebody who was let in by (iss, sub) and has no directory record yet gets the one that waits for their verified address
 * (S2: "Create an IDP user with the same email").
 *
 * @returns whether there was one
 */
export async function linkByEmail(trx: Transaction, userId: UserId, email: string, actor: Actor): Promise<boolean> {
  const { rows } = await sql<{ id: string }>`
    select id from idp_user where ${waiting} and lower(email) = lower(${email}::text)
      and not exists (select from idp_user d where d.user_id = ${userId}::uuid) for update`.execute(trx)
  if (rows[0] === undefined) return false
  await link(trx, rows[0].id, userId, actor)
  return true
}

const waiting = sql`user_id is null and linked_at is null and state = 'active'`

async function link(trx: Transaction, idpUserId: string, userId: UserId, actor: Actor): Promise<void> {
  await sql`update idp_user set user_id = ${userId}::uuid, linked_at = app_clock(), version = version + 1 where id = ${idpUserId}::uuid`.execute(trx)
  await appendAudit(trx, { actor, action: 'user.linked', effect: 'permit', outcome: 'success', userId, detail: { idpUserId } })
}

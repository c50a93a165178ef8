import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { UserId } from '#schemas/ids.ts'
import { awaitUses, tellChanged } from './break-glass-credential.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { refuseDuplicates, refuseFaults } from './refusals.ts'

/** What is kept of a key when it is enrolled. */
export interface NewSecurityKey {
  readonly name: string
  /** Its credential id (W3C WebAuthn 3 section 4). */
  readonly webauthnId: Uint8Array
  /** COSE_Key (RFC 9052). */
  readonly publicKey: Uint8Array
  /** How often it has signed; 0 of keys that do not count. */
  readonly signCount: number
  readonly transports: readonly string[]
}

export interface EnrolledSecurityKey extends NewSecurityKey {
  readonly id: string
  readonly enrolledAt: Date
  readonly lastUsedAt: Date | null
}

/** One in use, one in the safe, and some more. */
const mostKeys = 5

const keys = sql`
  select id, name, webauthn_id as "webauthnId", public_key as "publicKey", sign_count::float8 as "signCount", transports, enrolled_at as "enrolledAt",
    last_used_at as "lastUsedAt"
  from break_glass_credential`
const ofPerson = (userId: UserId) => sql`user_id = ${userId}::uuid and kind = 'security_key' and ended_at is null`

/** Those that count, oldest first. */
export async function listSecurityKeys(trx: Transaction, userId: UserId): Promise<readonly EnrolledSecurityKey[]> {
  return (await sql<EnrolledSecurityKey>`${keys} where ${ofPerson(userId)} order by id`.execute(trx)).rows
}

export async function findSecurityKey(trx: Transaction, userId: UserId, webauthnId: Uint8Array): Promise<EnrolledSecurityKey | undefined> {
  return (await sql<EnrolledSecurityKey>`${keys} where ${ofPerson(userId)} and webauthn_id = ${webauthnId}::bytea`.execute(trx)).rows[0]
}

/**
 * One more key that breaks the glass for its person, who is told.
 *
 * @throws LeaseholdError `validation-failed` (too many), `already-exists`
 */
export async function enrolSecurityKey(trx: Transaction, userId: UserId, key: NewSecurityKey, actor: Actor): Promise<EnrolledSecurityKey> {
  await sql`select from account_user where id = ${userId}::uuid for no key update`.execute(trx)
  const present = await listSecurityKeys(trx, userId)
  refuseFaults(present.length < mostKeys ? [] : [{ path: 'credential', message: `must not be one more than ${mostKeys} keys` }])
  const { rows } = await refuseDuplicates(
    sql<{ id: string; enrolledAt: Date }>`
      insert into break_glass_credential (user_id, kind, name, webauthn_id, public_key, sign_count, transports)
      values (${userId}::uuid, 'security_key', ${key.name}::text, ${key.webauthnId}::bytea, ${key.publicKey}::bytea, ${key.signCount}::bigint, ${key.transports}::text[])
      returning id, enrolled_at as "enrolledAt"`.execute(trx),
  )
  const [made] = rows as [{ id: string; enrolledAt: Date }]
  const detail = { kind: 'security_key', credentialId: made.id, replaced: false }
  await appendAudit(trx, { actor, action: 'break_glass_credential.enrolled', effect: 'permit', outcome: 'success', userId, detail })
  await tellChanged(trx, userId)
  return { ...key, ...made, lastUsedAt: null }
}

/** @throws LeaseholdError `not-found` */
export async function removeSecurityKey(trx: Transaction, userId: UserId, id: string, actor: Actor): Promise<void> {
  await awaitUses(trx, sql`id = ${id}::uuid and user_id = ${userId}::uuid`)
  const { numAffectedRows } = await sql`update break_glass_credential set ended_at = app_clock() where id = ${id}::uuid and ${ofPerson(userId)}`.execute(trx)
  if (numAffectedRows === 0n) throw new LeaseholdError('not-found')
  const detail = { kind: 'security_key', credentialId: id }
  await appendAudit(trx, { actor, action: 'break_glass_credential.revoked', effect: 'permit', outcome: 'success', userId, detail })
  await tellChanged(trx, userId)
}

/**
 * Writes down that a key has signed (W3C WebAuthn 3 section 6.1.1).
 *
 * @returns false: it has signed as often before, so there is a copy of it
 */
export async function recordSignature(trx: Transaction, id: string, signCount: number): Promise<boolean> {
  const { numAffectedRows } = await sql`update break_glass_credential set sign_count = ${signCount}::bigint, last_used_at = app_clock()
    where id = ${id}::uuid and (sign_count < ${signCount}::bigint or (sign_count = 0 and ${signCount}::bigint = 0))`.execute(trx)
  return numAffectedRows === 1n
}

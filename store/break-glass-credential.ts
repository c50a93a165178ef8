import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { UserId } from '#schemas/ids.ts'
import type { PassphraseHash } from '#schemas/passphrase-hash.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { raiseNotice } from './notice.ts'

export interface EnrolledCredential extends PassphraseHash {
  readonly id: string
  readonly enrolledAt: Date
}

/** The one that counts now; undefined: none is enrolled. */
export async function findBreakGlassCredential(trx: Transaction, userId: UserId): Promise<EnrolledCredential | undefined> {
  const { rows } = await sql<EnrolledCredential>`
    select id, salt, tag, memory_kib as "memoryKib", passes, lanes, enrolled_at as "enrolledAt"
    from break_glass_credential where user_id = ${userId}::uuid and ended_at is null`.execute(trx)
  return rows[0]
}

/** Whether the credential still counts; from here to the end of the transaction nobody takes it away. */
export async function holdsBreakGlassCredential(trx: Transaction, id: string): Promise<boolean> {
  const { rows } = await sql`select from break_glass_credential where id = ${id}::uuid and ended_at is null for key share`.execute(trx)
  return rows.length > 0
}

/** The person's own passphrase takes the place of the one before, whose hash is dropped. The person is told, in case it was somebody else. */
export async function enrolBreakGlassCredential(trx: Transaction, userId: UserId, hash: PassphraseHash, actor: Actor): Promise<{ readonly enrolledAt: Date }> {
  // Two of one person at once: the second one replaces the first.
  await sql`select from account_user where id = ${userId}::uuid for no key update`.execute(trx)
  const replaced = await endPresent(trx, userId)
  const { rows } = await sql<{ enrolledAt: Date }>`
    insert into break_glass_credential (user_id, salt, tag, memory_kib, passes, lanes)
    values (${userId}::uuid, ${hash.salt}::bytea, ${hash.tag}::bytea, ${hash.memoryKib}::int, ${hash.passes}::int, ${hash.lanes}::int)
    returning enrolled_at as "enrolledAt"`.execute(trx)
  await appendAudit(trx, { actor, action: 'break_glass_credential.enrolled', effect: 'permit', outcome: 'success', userId, detail: { replaced } })
  await raiseNotice(trx, { kind: 'break_glass.credential_changed', severity: 'warning', subject: { type: 'user', id: userId }, to: [userId] })
  return rows[0] as { enrolledAt: Date }
}

/**
 * Takes a person's passphrase away; only the person can enrol another one.
 *
 * @throws LeaseholdError `not-found` (none is enrolled)
 */
export async function revokeBreakGlassCredential(trx: Transaction, userId: UserId, actor: Actor): Promise<void> {
  if (!(await endPresent(trx, userId))) throw new LeaseholdError('not-found')
  await appendAudit(trx, { actor, action: 'break_glass_credential.revoked', effect: 'permit', outcome: 'success', userId })
  await raiseNotice(trx, { kind: 'break_glass.credential_changed', severity: 'warning', subject: { type: 'user', id: userId }, to: [userId] })
}

async function endPresent(trx: Transaction, userId: UserId): Promise<boolean> {
  const { numAffectedRows } = await sql`update break_glass_credential set ended_at = app_clock(), salt = null, tag = null
    where user_id = ${userId}::uuid and ended_at is null`.execute(trx)
  return numAffectedRows === 1n
}

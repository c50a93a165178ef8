import { sql, type RawBuilder } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { UserId } from '#schemas/ids.ts'
import type { PassphraseHash } from '#schemas/passphrase-hash.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { raiseNotice } from './notice.ts'

export interface EnrolledPassphrase extends PassphraseHash {
  readonly id: string
  readonly enrolledAt: Date
}

/** The one that counts now; undefined: none is enrolled. */
export async function findPassphrase(trx: Transaction, userId: UserId): Promise<EnrolledPassphrase | undefined> {
  const { rows } = await sql<EnrolledPassphrase>`
    select id, salt, tag, memory_kib as "memoryKib", passes, lanes, enrolled_at as "enrolledAt"
    from break_glass_credential where user_id = ${userId}::uuid and kind = 'passphrase' and ended_at is null`.execute(trx)
  return rows[0]
}

/**
 * What kind of credential this is, passphrase or security key, while it counts; from here to the end of the transaction nobody
 * takes it away.
 */
export async function holdBreakGlassCredential(trx: Transaction, id: string): Promise<'passphrase' | 'security_key' | undefined> {
  const { rows } = await sql<{ kind: 'passphrase' | 'security_key' }>`
    select kind from break_glass_credential where id = ${id}::uuid and ended_at is null for key share`.execute(trx)
  return rows[0]?.kind
}

/** Whoever takes credentials away comes after the uses that are being decided with them, which hold them. */
export async function awaitUses(trx: Transaction, which: RawBuilder<unknown>): Promise<void> {
  await sql`select from break_glass_credential where ${which} and ended_at is null order by id for update`.execute(trx)
}

/** The person's own passphrase takes the place of the one before, whose hash is dropped. The person is told, in case it was somebody else. */
export async function enrolPassphrase(trx: Transaction, userId: UserId, hash: PassphraseHash, actor: Actor): Promise<{ readonly enrolledAt: Date }> {
  // Two of one person at once: the second one replaces the first.
  await sql`select from account_user where id = ${userId}::uuid for no key update`.execute(trx)
  await awaitUses(trx, sql`user_id = ${userId}::uuid and kind = 'passphrase'`)
  const { numAffectedRows } = await sql`
    update break_glass_credential set ${ended} where user_id = ${userId}::uuid and kind = 'passphrase' and ended_at is null`.execute(trx)
  const { rows } = await sql<{ enrolledAt: Date }>`
    insert into break_glass_credential (user_id, salt, tag, memory_kib, passes, lanes)
    values (${userId}::uuid, ${hash.salt}::bytea, ${hash.tag}::bytea, ${hash.memoryKib}::int, ${hash.passes}::int, ${hash.lanes}::int)
    returning enrolled_at as "enrolledAt"`.execute(trx)
  const detail = { kind: 'passphrase', replaced: numAffectedRows === 1n }
  await appendAudit(trx, { actor, action: 'break_glass_credential.enrolled', effect: 'permit', outcome: 'success', userId, detail })
  await tellChanged(trx, userId)
  return rows[0] as { enrolledAt: Date }
}

/**
 * Takes a person's passphrase and security keys away; only the person can enrol others.
 *
 * @throws LeaseholdError `not-found` (none is enrolled)
 */
export async function revokeBreakGlassCredentials(trx: Transaction, userId: UserId, actor: Actor): Promise<void> {
  await awaitUses(trx, sql`user_id = ${userId}::uuid`)
  const { rows } = await sql<{ kind: string }>`
    update break_glass_credential set ${ended} where user_id = ${userId}::uuid and ended_at is null returning kind`.execute(trx)
  if (rows.length === 0) throw new LeaseholdError('not-found')
  const detail = { kinds: rows.map(({ kind }) => kind) }
  await appendAudit(trx, { actor, action: 'break_glass_credential.revoked', effect: 'permit', outcome: 'success', userId, detail })
  await tellChanged(trx, userId)
}

/** The hash of a passphrase goes with it. */
const ended = sql`ended_at = app_clock(), salt = null, tag = null`

/** In case it was somebody else. */
export async function tellChanged(trx: Transaction, userId: UserId): Promise<void> {
  await raiseNotice(trx, { kind: 'break_glass.credential_changed', severity: 'warning', subject: { type: 'user', id: userId }, to: [userId] })
}

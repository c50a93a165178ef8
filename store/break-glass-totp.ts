import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { UserId } from '#schemas/ids.ts'
import type { Sealed } from '#schemas/sealed.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { raiseNotice } from './notice.ts'

/** The seed of somebody's one-time codes, sealed with the account's key for this id. */
export interface BreakGlassTotp {
  readonly id: string
  readonly seed: Sealed
  readonly confirmed: boolean
}

export async function findBreakGlassTotp(trx: Transaction, userId: UserId): Promise<BreakGlassTotp | undefined> {
  const { rows } = await sql<{ id: string; ciphertext: Buffer; key_id: string; confirmed: boolean }>`
    select id, seed_ciphertext as ciphertext, seed_key_id as key_id, confirmed_at is not null as confirmed
    from break_glass_totp where user_id = ${userId}::uuid`.execute(trx)
  const [row] = rows
  return row && { id: row.id, seed: { encryptionVersion: 2, keyId: row.key_id, ciphertext: row.ciphertext }, confirmed: row.confirmed }
}

/** A new seed takes the place of the one before, and counts when a code of it was shown. */
export async function enrolBreakGlassTotp(trx: Transaction, userId: UserId, id: string, seed: Sealed, actor: Actor): Promise<void> {
  await sql`
    insert into break_glass_totp (user_id, id, seed_ciphertext, seed_key_id) values (${userId}::uuid, ${id}::uuid, ${seed.ciphertext}::bytea, ${seed.keyId}::text)
    on conflict (account_id, user_id) do update set id = excluded.id, seed_ciphertext = excluded.seed_ciphertext, seed_key_id = excluded.seed_key_id,
      confirmed_at = null, last_step = 0`.execute(trx)
  await appendAudit(trx, { actor, action: 'break_glass_totp.enrolled', effect: 'permit', outcome: 'success', userId })
  await raiseNotice(trx, { kind: 'break_glass.credential_changed', severity: 'warning', subject: { type: 'user', id: userId }, to: [userId] })
}

/**
 * Takes a code of a time step, once: the same one, or an older one, is refused from then on.
 *
 * @param confirms it shows that its person has the seed
 * @returns whether it was taken
 */
export async function takeCode(
  trx: Transaction,
  userId: UserId,
  { id, step }: { readonly id: string; readonly step: number },
  confirms: boolean,
): Promise<boolean> {
  const { numAffectedRows } = await sql`
    update break_glass_totp set last_step = ${step}::bigint, confirmed_at = case when ${confirms}::boolean then coalesce(confirmed_at, app_clock()) else confirmed_at end
    where user_id = ${userId}::uuid and id = ${id}::uuid and last_step < ${step}::bigint and (confirmed_at is not null or ${confirms}::boolean)`.execute(trx)
  return numAffectedRows === 1n
}

/** @throws LeaseholdError `break-glass-credential-refused` */
export async function confirmBreakGlassTotp(
  trx: Transaction,
  userId: UserId,
  taken: { readonly id: string; readonly step: number },
  actor: Actor,
): Promise<void> {
  if (!(await takeCode(trx, userId, taken, true))) throw new LeaseholdError('break-glass-credential-refused')
  await appendAudit(trx, { actor, action: 'break_glass_totp.confirmed', effect: 'permit', outcome: 'success', userId })
}

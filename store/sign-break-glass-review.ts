import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { LeaseId } from '#schemas/ids.ts'
import type { Principal } from '#schemas/principal.ts'
import { hasPermission } from '#schemas/rules/access.ts'
import type { Sealed } from '#schemas/sealed.ts'
import { appendAudit } from './audit.ts'
import { readBreakGlassReview } from './break-glass-review.ts'
import type { Transaction } from './connection.ts'
import { owe } from './duties.ts'
import { lockAuthority, readPrincipal } from './principal.ts'

export interface ReviewSignature {
  /** Of the lease. */
  readonly id: LeaseId
  readonly principal: Principal
  readonly actor: Actor
  /** Sealed with the vault key for identity and purpose `reason`. */
  readonly finding: Sealed
}

/**
 * An admin says what came out of looking at an emergency use: whoever had it is no judge of it, and it is not judged before it is over.
 *
 * @throws LeaseholdError `not-found`, `forbidden` (the user, or no admin of the whole account), `break-glass-in-use`,
 *   `break-glass-review-signed`
 */
export async function signBreakGlassReview(trx: Transaction, { id, principal, actor, finding }: ReviewSignature): Promise<void> {
  const found = await readBreakGlassReview(trx, id)
  if (found === undefined) throw new LeaseholdError('not-found')
  const now = (await lockAuthority(trx, principal, found)) ? principal : await readPrincipal(trx, principal.userId)
  if (now === undefined || !hasPermission(now, 'pam_vaults.manage', null)) {
    throw new LeaseholdError('forbidden', { missing: 'pam_vaults.manage in the whole account' })
  }
  await sql`select from break_glass_review where id = ${id}::uuid for update`.execute(trx)
  const review = (await readBreakGlassReview(trx, id)) ?? found
  if (review.userId === now.userId) throw new LeaseholdError('forbidden', { missing: 'another person: nobody reviews a use of their own' })
  if (review.state === 'signed') throw new LeaseholdError('break-glass-review-signed')
  if (review.leaseState === 'active') throw new LeaseholdError('break-glass-in-use', { until: review.expiresAt.toISOString() })
  await sql`update break_glass_review set state = 'signed', signed_at = app_clock(), signed_by = ${now.userId}::uuid,
    finding_ciphertext = ${finding.ciphertext}::bytea, finding_key_id = ${finding.keyId}::text where id = ${id}::uuid`.execute(trx)
  await appendAudit(trx, {
    actor,
    action: 'break_glass_review.signed',
    effect: 'permit',
    outcome: 'success',
    organizationId: review.organizationId,
    vaultId: review.vaultId,
    identityId: review.identityId,
    hostId: review.hostId,
    userId: review.userId,
    leaseId: id,
    reason: finding,
    breakGlass: true,
  })
  await owe(trx, 'break_glass_review', id, { closed: true })
}

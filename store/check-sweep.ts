import { sql } from 'kysely'
import type { IdentityId } from '#schemas/ids.ts'
import { appendAudit } from './audit.ts'
import { beginCheck, readCheckable } from './begin-check.ts'
import { scheduleCheck } from './check-schedule.ts'
import { lockIdentity } from './checkout-facts.ts'
import type { Transaction } from './connection.ts'

/** What is found due at once is offered over so long a time, ms. */
const spreadMs = 300_000
const actor = { kind: 'system', id: 'check-sweep' } as const

/**
 * Begins the check of a due identity and sets its next date. One that is rotating is proven by that; one that nobody could ask is
 * skipped, which its audit log shows; one that has drifted leaves the schedule.
 *
 * @returns whether a check was begun
 */
export async function beginDueCheck(trx: Transaction, identityId: IdentityId): Promise<boolean> {
  await lockIdentity(trx, identityId)
  const { rows } = await sql<{ active: boolean }>`select state = 'active' as active from identity
    where id = ${identityId}::uuid and deleted_at is null and next_check_at <= app_clock()`.execute(trx)
  const [due] = rows
  if (due === undefined) return false
  await scheduleCheck(trx, identityId)
  const { rows: drifted } = await sql`select from identity_host where identity_id = ${identityId}::uuid and sync = 'drifted' limit 1`.execute(trx)
  const { organizationId, vaultId, rotationId, hindrance } = await readCheckable(trx, identityId)
  if (!due.active || drifted.length > 0 || rotationId !== null) return false
  if (hindrance !== null) {
    await appendAudit(trx, { actor, action: 'check.skipped', effect: 'permit', outcome: hindrance, organizationId, vaultId, identityId })
    return false
  }
  await beginCheck(trx, { identityId, actor, spreadMs })
  return true
}

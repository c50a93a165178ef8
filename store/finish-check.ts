import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import type { JobId } from '#schemas/ids.ts'
import { isJudged, type CheckVerdict } from '#schemas/rules/check.ts'
import { scheduleCheck } from './check-schedule.ts'
import type { Transaction } from './connection.ts'
import { auditCheck, checksCancelled, type CheckRow } from './credential-check.ts'
import { insertRotation } from './insert-rotation.ts'
import { oweOffers } from './job.ts'
import { raiseNotice } from './notice.ts'
import { canReconcile } from './rotatable.ts'

/**
 * Writes down what a check came to, what that says of the host, and what follows: a drift is told to the admins once, and rotated away
 * where the identity says so and is in use. The caller holds the lock of the identity.
 */
export async function finishCheck(trx: Transaction, check: CheckRow, { outcome, reasonClass }: CheckVerdict, actor: Actor): Promise<void> {
  const { id, organizationId, vaultId, identityId, hostId } = check
  await sql`update credential_check set state = 'done', outcome = ${outcome}::text, reason_class = ${reasonClass}::text, finished_at = app_clock()
    where id = ${id}::uuid`.execute(trx)
  const judged = isJudged(outcome)
  const { rows } = await sql<{ was: string; reconcile: boolean }>`
    with before as (select sync from identity_host where identity_id = ${identityId}::uuid and host_id = ${hostId}::uuid)
    update identity_host h set
      sync = case when ${judged}::boolean then ${outcome}::text else h.sync end,
      checked_at = case when ${judged}::boolean then app_clock() else h.checked_at end,
      unreachable_since = case ${outcome}::text when 'unreachable' then coalesce(h.unreachable_since, app_clock()) when 'unknown' then h.unreachable_since end
    from before, identity i where h.identity_id = ${identityId}::uuid and h.host_id = ${hostId}::uuid and i.id = h.identity_id
    returning before.sync as was, i.reconcile_drift and i.state = 'active' as reconcile`.execute(trx)
  await auditCheck(trx, check, actor, 'job.reported', outcome, { epoch: check.epoch, ...(reasonClass === null ? {} : { reasonClass }) })
  await scheduleCheck(trx, identityId)
  if (outcome !== 'drifted') return goOn(trx, check)
  // Nobody but a person who asked for it tries the same value elsewhere.
  if (check.scheduled) await checksCancelled(sql`k.identity_id = ${identityId}::uuid and k.state = 'waiting'`).execute(trx)
  else await goOn(trx, check)
  const [host] = rows
  if (host === undefined) return
  if (host.was !== 'drifted') {
    await auditCheck(trx, check, actor, 'credential.drifted', 'success', {})
    const subject = { type: 'identity', id: identityId } as const
    await raiseNotice(trx, { kind: 'credential.drifted', severity: 'warning', subject, organizationId, to: 'admins', facts: { hostId, vaultId } })
  }
  if (host.reconcile && (await canReconcile(trx, identityId))) await insertRotation(trx, identityId, { trigger: 'drift', actor })
}

/** The hosts of an identity are asked one after the other. */
async function goOn(trx: Transaction, { identityId }: CheckRow): Promise<void> {
  const { rows } = await sql<{ id: JobId }>`select id from credential_check where identity_id = ${identityId}::uuid and state = 'waiting'`.execute(trx)
  await oweOffers(trx, rows)
}

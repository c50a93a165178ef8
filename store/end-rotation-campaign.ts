import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import type { RotationCampaignId } from '#schemas/ids.ts'
import { isFinal, rotationCampaignTransitions } from '#schemas/rules/transitions.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { owe } from './duties.ts'
import { raiseNotice } from './notice.ts'
import { countsOf, readRotationCampaignView } from './rotation-campaign-view.ts'
import { skipWaiting } from './rotation-campaign.ts'

/** Ends a campaign whose items are all final and tells the admins; one that has something left to do is left alone. */
export async function endRotationCampaign(trx: Transaction, id: RotationCampaignId, actor: Actor): Promise<void> {
  await sql`select from rotation_campaign where id = ${id}::uuid for no key update`.execute(trx)
  const campaign = await readRotationCampaignView(trx, id)
  if (campaign === undefined || isFinal(rotationCampaignTransitions, campaign.state)) return
  const { organizationId, state: before } = campaign
  // What was rotating when it was aborted may have been cancelled since.
  if (before === 'aborting') await skipWaiting(trx, id)
  const { waiting, rotating, ...ends } = await countsOf(trx, id)
  if (waiting > 0 || rotating > 0) return
  const state = before === 'aborting' ? 'aborted' : 'completed'
  await sql`update rotation_campaign set state = ${state}::text, finished_at = app_clock() where id = ${id}::uuid`.execute(trx)
  await appendAudit(trx, {
    actor,
    action: 'rotation_campaign.ended',
    effect: 'permit',
    outcome: state,
    organizationId,
    detail: { campaignId: id, ...ends },
  })
  await raiseNotice(trx, {
    kind: 'rotation_campaign.ended',
    // Whatever is not confirmed may still have a value that must die.
    severity: ends.failed + ends.skipped > 0 ? 'warning' : 'info',
    subject: { type: 'rotation_campaign', id },
    organizationId,
    to: 'admins',
    facts: { state, ...ends },
  })
  await owe(trx, 'rotation_campaign', id, { closed: true })
}

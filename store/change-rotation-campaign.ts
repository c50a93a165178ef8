import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { OrganizationId, RotationCampaignId } from '#schemas/ids.ts'
import { afterVerb, type CampaignVerb } from '#schemas/rules/rotation-campaign.ts'
import type { RotationCampaignState } from '#schemas/states.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { owe } from './duties.ts'
import { skipWaiting } from './rotation-campaign.ts'

const done = { pause: 'paused', resume: 'resumed', abort: 'aborted' } as const satisfies Record<CampaignVerb, string>

/**
 * Pauses, resumes or aborts a campaign. What is rotating goes on: a host that is changed half-way is worse.
 *
 * @throws LeaseholdError `not-found`, `rotation-campaign-over`, `busy`
 */
export async function changeRotationCampaign(trx: Transaction, id: RotationCampaignId, verb: CampaignVerb, actor: Actor): Promise<void> {
  const { rows } = await sql<{ state: RotationCampaignState; organizationId: OrganizationId }>`
    select state, organization_id as "organizationId" from rotation_campaign where id = ${id}::uuid for no key update`.execute(trx)
  const [campaign] = rows
  if (campaign === undefined) throw new LeaseholdError('not-found')
  const next = afterVerb(campaign.state, verb)
  if (next === 'same') return
  if (next === 'over') throw new LeaseholdError('rotation-campaign-over', { state: campaign.state })
  await sql`update rotation_campaign set state = ${next}::text where id = ${id}::uuid`.execute(trx)
  if (next === 'aborting') await skipWaiting(trx, id)
  await appendAudit(trx, {
    actor,
    action: `rotation_campaign.${done[verb]}`,
    effect: 'permit',
    outcome: 'success',
    organizationId: campaign.organizationId,
    detail: { campaignId: id },
  })
  await owe(trx, 'rotation_campaign', id)
}

import { sql } from 'kysely'
import type { IdentityId, RotationCampaignId, RotationId } from '#schemas/ids.ts'
import type { RotationCampaignFacts } from '#schemas/rotation-campaign-facts.ts'
import { placeLimit, type SkipReason } from '#schemas/rules/rotation-campaign.ts'
import type { RotationState } from '#schemas/states.ts'
import type { Transaction } from './connection.ts'
import { oweEach } from './duties.ts'

/** Whether the identity `i` of item `m` belongs to another organization by now, where the campaign has nothing to say and nothing to see. */
export const hasLeft = sql<boolean>`i.organization_id <> (select c.organization_id from rotation_campaign c where c.id = m.campaign_id)`

/** Whether a rotation from before the campaign must be over before item `m` can have its turn: its value was there already. */
export const isBlocked = sql<boolean>`exists (select from rotation r where r.identity_id = m.identity_id and r.state = 'pending' and r.trigger <> 'enroll'
  and r.staged_version <= m.version_before and exists (select from identity_host h where h.identity_id = m.identity_id)
  and not exists (select from identity i where i.id = m.identity_id and ${hasLeft}))`

/** Whether item `m` is being rotated and takes a place. */
export const takesPlace = sql<boolean>`(m.state = 'rotating' and m.begun_at > app_clock() - make_interval(secs => ${placeLimit}::float8 / 1000))`

/** Undefined when there is none in this account. */
export async function readRotationCampaignFacts(trx: Transaction, id: RotationCampaignId): Promise<RotationCampaignFacts | undefined> {
  const { rows } = await sql<RotationCampaignFacts>`
    with m as materialized (select m.state, ${takesPlace} as takes_place, m.begun_at, m.state = 'waiting' and not ${isBlocked} as ready
      from campaign_item m where m.campaign_id = ${id}::uuid and m.state in ('waiting', 'rotating'))
    select c.id as "campaignId", c.organization_id as "organizationId", c.state,
      (select count(*)::int from m where state = 'waiting') as waiting, (select count(*)::int from m where ready) as ready,
      (select count(*)::int from m where state = 'rotating') as rotating,
      greatest(0, c.at_once - (select count(*)::int from m where takes_place)) as places,
      (select ceil(extract(epoch from min(begun_at) - app_clock()) * 1000 + ${placeLimit}::float8)::float8 from m where takes_place) as "nextPlaceInMs"
    from rotation_campaign c where c.id = ${id}::uuid`.execute(trx)
  return rows[0]
}

export interface EndedRotation {
  readonly identityId: IdentityId
  readonly rotationId: RotationId
  readonly state: Exclude<RotationState, 'pending'>
  readonly reasonClass: string | null
}

/**
 * A rotation is over: so are the items that it was to do, but for a cancelled one, whose item has its turn once more. Campaigns in which
 * the identity waits look again. The caller holds the lock of the identity.
 */
export async function settleCampaignItems(trx: Transaction, { identityId, rotationId, state, reasonClass }: EndedRotation): Promise<void> {
  const again = state === 'cancelled'
  const { rows } = await sql<{ id: RotationCampaignId }>`
    with settled as (
      update campaign_item set state = ${again ? 'waiting' : state}::text, reason_class = ${reasonClass}::text,
        rotation_id = case when not ${again}::boolean then rotation_id end, finished_at = case when not ${again}::boolean then app_clock() end
      where identity_id = ${identityId}::uuid and rotation_id = ${rotationId}::uuid and state = 'rotating' returning campaign_id
    )
    select campaign_id as id from settled
    union select campaign_id from campaign_item where identity_id = ${identityId}::uuid and state = 'waiting'`.execute(trx)
  if (rows.length === 0) return
  await oweEach(
    trx,
    'rotation_campaign',
    rows.map(({ id }) => ({ subjectId: id })),
  )
}

/** Nothing more is begun: what waits never has its turn. The caller holds the lock of the campaign. */
export async function skipWaiting(trx: Transaction, id: RotationCampaignId): Promise<void> {
  const reason: SkipReason = 'aborted'
  await sql`update campaign_item set state = 'skipped', reason_class = ${reason}::text, finished_at = app_clock()
    where campaign_id = ${id}::uuid and state = 'waiting'`.execute(trx)
}

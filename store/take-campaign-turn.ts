import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import type { IdentityId, OrganizationId, RotationCampaignId, RotationId, UserId, VaultId } from '#schemas/ids.ts'
import { turnOf, type SkipReason, type TurnFacts } from '#schemas/rules/rotation-campaign.ts'
import type { RotationCampaignState } from '#schemas/states.ts'
import { appendAudit } from './audit.ts'
import { lockIdentity } from './checkout-facts.ts'
import type { Transaction } from './connection.ts'
import { insertRotation } from './insert-rotation.ts'
import { isUnchangeable } from './rotatable.ts'
import { hasLeft, isBlocked, takesPlace } from './rotation-campaign.ts'

interface Item {
  readonly id: string
  readonly identityId: IdentityId
}

/**
 * Gives the next identity of a campaign its turn, if the campaign runs and has a place: those that nobody holds come first. Pausing and
 * aborting wait for this transaction, or it sees them; so does a second worker, and no place is given twice.
 *
 * @returns whether there may be another turn to take
 * @throws LeaseholdError `busy`
 */
export async function takeCampaignTurn(trx: Transaction, campaignId: RotationCampaignId, actor: Actor): Promise<boolean> {
  const { rows } = await sql<{ state: RotationCampaignState; startedBy: UserId; atOnce: number }>`
    select state, started_by as "startedBy", at_once as "atOnce" from rotation_campaign where id = ${campaignId}::uuid for no key update`.execute(trx)
  const [campaign] = rows
  if (campaign?.state !== 'running') return false
  const item = await nextItem(trx, campaignId, campaign.atOnce)
  if (item === undefined) return false
  await lockIdentity(trx, item.identityId)
  const { facts, organizationId, vaultId } = await readTurn(trx, item)
  const turn = turnOf(facts)
  switch (turn.do) {
    case 'begin':
      await rotating(trx, item, await insertRotation(trx, item.identityId, { trigger: 'campaign', actor, requestedBy: campaign.startedBy }))
      break
    case 'join':
      await rotating(trx, item, turn.rotationId)
      break
    case 'confirm':
      await sql`update campaign_item set state = 'confirmed', rotation_id = ${turn.rotationId}::uuid, finished_at = app_clock() where id = ${item.id}::uuid`.execute(
        trx,
      )
      break
    case 'skip':
      await skip(trx, item, turn.reason)
      await appendAudit(trx, {
        actor,
        action: 'rotation.skipped',
        effect: 'permit',
        outcome: turn.reason,
        organizationId,
        vaultId,
        identityId: item.identityId,
        detail: { campaignId },
      })
      break
    case 'wait':
  }
  return true
}

async function nextItem(trx: Transaction, campaignId: RotationCampaignId, atOnce: number): Promise<Item | undefined> {
  const { rows } = await sql<Item>`
    select m.id, m.identity_id as "identityId" from campaign_item m where m.campaign_id = ${campaignId}::uuid and m.state = 'waiting' and not ${isBlocked}
      and (select count(*) from campaign_item m where m.campaign_id = ${campaignId}::uuid and ${takesPlace}) < ${atOnce}::int
    order by exists (select from lease l where l.identity_id = m.identity_id and l.state = 'active'), m.id limit 1`.execute(trx)
  return rows[0]
}

interface TurnRow extends Omit<TurnFacts, 'rotation'> {
  readonly organizationId: OrganizationId
  readonly vaultId: VaultId
  readonly rotation: { readonly id: RotationId; readonly open: boolean; readonly stagedVersion: number | null } | null
}

/** Wherever in the organization the identity is by now: it may have been moved. */
async function readTurn(trx: Transaction, { id, identityId }: Item) {
  const { rows } = await sql<TurnRow>`
    select c.organization_id as "organizationId", case when ${hasLeft} then m.vault_id else i.vault_id end as "vaultId", i.deleted_at is not null as deleted,
      ${hasLeft} as moved, i.state,
      (select count(*)::int from identity_host h where h.identity_id = i.id) as hosts, ${isUnchangeable} as unchangeable, m.version_before as "versionBefore",
      (select jsonb_build_object('id', r.id, 'open', r.state = 'pending', 'stagedVersion', r.staged_version) from rotation r
        where r.identity_id = i.id and (r.state = 'pending' or r.state = 'confirmed' and r.staged_version = i.current_version)
        order by r.state = 'pending' desc limit 1) as rotation
    from identity i, campaign_item m join rotation_campaign c on c.id = m.campaign_id where i.id = ${identityId}::uuid and m.id = ${id}::uuid`.execute(trx)
  const { organizationId, vaultId, ...facts } = rows[0] as TurnRow
  return { facts, organizationId, vaultId }
}

async function rotating(trx: Transaction, { id }: Item, rotationId: RotationId): Promise<void> {
  await sql`update campaign_item set state = 'rotating', rotation_id = ${rotationId}::uuid, begun_at = app_clock(), reason_class = null
    where id = ${id}::uuid`.execute(trx)
}

async function skip(trx: Transaction, { id }: Item, reason: SkipReason): Promise<void> {
  await sql`update campaign_item set state = 'skipped', reason_class = ${reason}::text, finished_at = app_clock() where id = ${id}::uuid`.execute(trx)
}

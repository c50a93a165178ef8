import { sql, type RawBuilder } from 'kysely'
import type { OrganizationId, RotationCampaignId, UserId } from '#schemas/ids.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import type { RotationCampaign, RotationCampaignItem } from '#schemas/rotation-campaign.ts'
import type { Sealed } from '#schemas/sealed.ts'
import type { CampaignItemState, RotationCampaignState } from '#schemas/states.ts'
import type { Transaction } from './connection.ts'
import { newestFirst } from './newest-first.ts'
import { inScope, pageClause, type Scope } from './page.ts'
import { isBlocked } from './rotation-campaign.ts'
import { isoWaits } from './rotation-view.ts'
import { waitsFor } from './stuck-rotation.ts'

/** A campaign as people follow it, with its reason still sealed. */
export interface RotationCampaignView extends Omit<RotationCampaign, 'reason'> {
  readonly reason: Sealed
}

interface Row extends Omit<RotationCampaignView, 'reason' | 'startedBy' | 'startedAt' | 'finishedAt'> {
  readonly startedBy: UserId
  readonly starter: string | null
  readonly startedAt: Date
  readonly finishedAt: Date | null
  readonly ciphertext: Buffer
  readonly keyId: string
}

const states = ['waiting', 'rotating', 'confirmed', 'failed', 'skipped'] as const satisfies readonly CampaignItemState[]
/** How many items of a campaign are in each state, as JSON. */
const counts = (id: RawBuilder<unknown>) =>
  sql`(select jsonb_object_agg(s.state, (select count(*) from campaign_item m where m.campaign_id = ${id} and m.state = s.state)) from unnest(${[...states]}::text[]) s (state))`

async function select(trx: Transaction, where: RawBuilder<unknown>): Promise<RotationCampaignView[]> {
  const { rows } = await sql<Row>`
    select t.id, t.organization_id as "organizationId", t.state, t.at_once as "atOnce", t.started_by as "startedBy", coalesce(u.name, u.sub) as starter,
      t.started_at as "startedAt", t.finished_at as "finishedAt", t.reason_ciphertext as ciphertext, t.reason_key_id as "keyId", ${counts(sql`t.id`)} as counts
    from rotation_campaign t join account_user u on u.id = t.started_by where ${where}`.execute(trx)
  return rows.map(({ startedBy, starter, startedAt, finishedAt, ciphertext, keyId, ...row }) => ({
    ...row,
    reason: { encryptionVersion: 2, keyId, ciphertext },
    startedBy: { id: startedBy, name: starter },
    startedAt: startedAt.toISOString(),
    finishedAt: finishedAt?.toISOString() ?? null,
  }))
}

/** Undefined when there is none in this account. */
export async function readRotationCampaignView(trx: Transaction, id: RotationCampaignId): Promise<RotationCampaignView | undefined> {
  const [campaign] = await select(trx, sql`t.id = ${id}::uuid`)
  return campaign
}

export async function countsOf(trx: Transaction, id: RotationCampaignId): Promise<RotationCampaign['counts']> {
  const { rows } = await sql<{ counts: RotationCampaign['counts'] }>`select ${counts(sql`${id}::uuid`)} as counts`.execute(trx)
  return (rows[0] as { counts: RotationCampaign['counts'] }).counts
}

export interface RotationCampaignFilter {
  readonly organizationId?: OrganizationId | undefined
  readonly state?: RotationCampaignState | undefined
}

/** Campaigns of the scope, newest first. */
export async function listRotationCampaigns(
  trx: Transaction,
  scope: Scope,
  { organizationId = undefined, state = undefined }: RotationCampaignFilter,
  page: PageRequest,
): Promise<Page<RotationCampaignView>> {
  const campaigns = await select(
    trx,
    sql`${inScope(scope, sql`t.organization_id`)}
    and (${organizationId ?? null}::uuid is null or t.organization_id = ${organizationId ?? null}::uuid)
    and (${state ?? null}::text is null or t.state = ${state ?? null}::text)
    ${newestFirst('rotation_campaign', 'started_at', page)}`,
  )
  return toPage(campaigns, page.limit)
}

interface ItemRow extends Omit<RotationCampaignItem, 'begunAt' | 'finishedAt'> {
  readonly id: string
  readonly begunAt: Date | null
  readonly finishedAt: Date | null
}

/** The identities of a campaign, in its order. */
export async function listCampaignItems(
  trx: Transaction,
  id: RotationCampaignId,
  state: CampaignItemState | undefined,
  page: PageRequest,
): Promise<Page<RotationCampaignItem & { readonly id: string }>> {
  const { rows } = await sql<ItemRow>`
    select m.id, m.identity_id as "identityId", m.vault_id as "identityGroupId", m.state, t.id as "rotationId", m.reason_class as reason,
      m.begun_at as "begunAt", m.finished_at as "finishedAt", case when t.id is null then '[]'::jsonb else ${waitsFor} end as "waitsFor"
    from campaign_item m left join rotation t on t.identity_id = m.identity_id
      and (t.id = m.rotation_id or m.state = 'waiting' and t.state = 'pending' and ${isBlocked})
    where m.campaign_id = ${id}::uuid and (${state ?? null}::text is null or m.state = ${state ?? null}::text) ${pageClause(sql`m.id`, page)}`.execute(trx)
  const items = rows.map((row) => ({
    ...row,
    begunAt: row.begunAt?.toISOString() ?? null,
    finishedAt: row.finishedAt?.toISOString() ?? null,
    waitsFor: isoWaits(row.waitsFor),
  }))
  return toPage(items, page.limit)
}

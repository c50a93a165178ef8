import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { IdentityId, OrganizationId, RotationCampaignId, UserId, VaultId } from '#schemas/ids.ts'
import type { CreateRotationCampaign } from '#schemas/rotation-campaign.ts'
import { mostIdentities } from '#schemas/rules/rotation-campaign.ts'
import type { Sealed } from '#schemas/sealed.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { owe } from './duties.ts'
import { refuseFaults } from './refusals.ts'

type Named = Pick<CreateRotationCampaign, 'organizationId' | 'vaultIds' | 'identityIds'>

/** What a campaign would touch. */
export interface CampaignTargets {
  readonly organizationId: OrganizationId
  /** Also those that hold nothing. */
  readonly vaultIds: readonly VaultId[]
  readonly identities: readonly { readonly identityId: IdentityId; readonly vaultId: VaultId }[]
}

/**
 * Whether there are too many or none is said by `startRotationCampaign`, to those who may know.
 *
 * @throws LeaseholdError `not-found` (a vault or an identity that is not there, or not in this organization)
 */
export async function readCampaignTargets(trx: Transaction, { organizationId, vaultIds = [], identityIds = [] }: Named): Promise<CampaignTargets> {
  const { rows: vaults } = await sql<{ id: VaultId }>`
    select id from vault where id = any(${vaultIds}::uuid[]) and organization_id = ${organizationId}::uuid and deleted_at is null`.execute(trx)
  const { rows: identities } = await sql<{ identityId: IdentityId; vaultId: VaultId }>`
    select id as "identityId", vault_id as "vaultId" from identity
    where organization_id = ${organizationId}::uuid and deleted_at is null and (vault_id = any(${vaultIds}::uuid[]) or id = any(${identityIds}::uuid[]))
    order by vault_id, id limit ${mostIdentities + 1}::int`.execute(trx)
  if (vaults.length !== vaultIds.length || (identityIds.length > 0 && identities.length !== identityIds.length)) throw new LeaseholdError('not-found')
  return { organizationId, vaultIds: [...new Set([...vaultIds, ...identities.map(({ vaultId }) => vaultId)])], identities }
}

export interface StartedCampaign {
  readonly id: RotationCampaignId
  readonly startedBy: UserId
  readonly actor: Actor
  readonly atOnce: number
  /** Sealed for the account. */
  readonly reason: Sealed
  /** What the caller was found to be permitted to rotate. */
  readonly targets: CampaignTargets
}

/**
 * Fixes which identities a campaign rotates, and the newest value of each that must die.
 *
 * @throws LeaseholdError as `readCampaignTargets`, `validation-failed` (no identity, or too many), `busy` (another identity belongs to it by now than the caller was asked about)
 */
export async function startRotationCampaign(trx: Transaction, { id, startedBy, actor, atOnce, reason, targets }: StartedCampaign, named: Named): Promise<void> {
  const now = await readCampaignTargets(trx, named)
  if (JSON.stringify(now) !== JSON.stringify(targets)) throw new LeaseholdError('busy', { retryAfterSeconds: 1 })
  const { organizationId, identities, vaultIds } = targets
  refuseFaults(
    identities.length === 0 || identities.length > mostIdentities
      ? [{ path: 'vaultIds', message: `must hold 1 to ${mostIdentities} identities together; name others with identityIds` }]
      : [],
  )
  await sql`insert into rotation_campaign (id, organization_id, at_once, reason_ciphertext, reason_key_id, started_by)
    values (${id}::uuid, ${organizationId}::uuid, ${atOnce}::int, ${reason.ciphertext}::bytea, ${reason.keyId}::text, ${startedBy}::uuid)`.execute(trx)
  await sql`insert into campaign_item (campaign_id, identity_id, vault_id, version_before)
    select ${id}::uuid, i.id, i.vault_id, coalesce((select max(c.version) from credential_version c where c.identity_id = i.id), 0)
    from identity i where i.id = any(${identities.map(({ identityId }) => identityId)}::uuid[]) order by i.vault_id, i.id`.execute(trx)
  await appendAudit(trx, {
    actor,
    action: 'rotation_campaign.started',
    effect: 'permit',
    outcome: 'success',
    organizationId,
    reason,
    detail: { campaignId: id, vaults: vaultIds.length, identities: identities.length, atOnce },
  })
  await owe(trx, 'rotation_campaign', id)
}

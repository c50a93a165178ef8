import { z } from 'zod'
import { IdentityId, OrganizationId, RotationCampaignId, RotationId, UserId, VaultId } from './ids.ts'
import { Reason } from './lease.ts'
import { PageQuery } from './page.ts'
import { Wait } from './rotation.ts'
import { mostIdentities } from './rules/rotation-campaign.ts'

const RotationCampaignState = z.enum(['running', 'paused', 'aborting', 'completed', 'aborted'])
const ItemState = z.enum(['waiting', 'rotating', 'confirmed', 'failed', 'skipped'])

const listOf = <Id extends z.ZodType>(id: Id) =>
  z
    .array(id)
    .min(1)
    .max(mostIdentities)
    .refine((ids) => new Set(ids).size === ids.length, { error: 'must name each one once' })

export const CreateRotationCampaign = z
  .strictObject({
    organizationId: OrganizationId,
    vaultIds: listOf(VaultId).optional().meta({ description: 'Every identity that is in these vaults now; this or identityIds' }),
    identityIds: listOf(IdentityId).optional(),
    reason: Reason,
    atOnce: z.int().min(1).max(50).default(10).meta({ description: 'How many identities are rotating at the same time' }),
  })
  .refine(({ vaultIds, identityIds }) => (vaultIds === undefined) !== (identityIds === undefined), {
    path: ['vaultIds'],
    error: 'must be given, or identityIds, and not both',
  })
  .meta({
    examples: [
      { organizationId: '0198c0de-0000-7000-8000-000000000001', vaultIds: ['0198c0de-0000-7000-8000-000000000002'], reason: 'INC-2042: laptop of an admin' },
    ],
  })
export type CreateRotationCampaign = z.infer<typeof CreateRotationCampaign>

export const RotationCampaign = z.strictObject({
  id: RotationCampaignId,
  organizationId: OrganizationId,
  state: RotationCampaignState.meta({ description: 'aborting: nothing more is begun, and what is rotating goes on to its end' }),
  reason: z.string().nullable().meta({ description: 'Null: the caller may not read it' }),
  atOnce: z.int(),
  startedBy: z.strictObject({ id: UserId, name: z.string().nullable() }),
  startedAt: z.iso.datetime(),
  finishedAt: z.iso.datetime().nullable(),
  counts: z.strictObject({ waiting: z.int(), rotating: z.int(), confirmed: z.int(), failed: z.int(), skipped: z.int() }),
})
export type RotationCampaign = z.infer<typeof RotationCampaign>

export const RotationCampaignQuery = PageQuery.extend({ organizationId: OrganizationId.optional(), state: RotationCampaignState.optional() })

/** One identity of a campaign. */
export const RotationCampaignItem = z.strictObject({
  identityId: IdentityId,
  identityGroupId: VaultId.meta({ description: 'Its vault when the campaign began' }),
  state: ItemState,
  rotationId: RotationId.nullable().meta({ description: 'The rotation that it is done by; while it waits: the one from before that must be over first' }),
  reason: z.string().nullable().meta({
    description:
      'failed: class of the failure; skipped: deleted, moved (to another organization), enrolling, identity-disabled, identity-has-no-hosts, credential-not-rotatable, or aborted',
  }),
  begunAt: z.iso.datetime().nullable(),
  finishedAt: z.iso.datetime().nullable(),
  waitsFor: z.array(Wait).meta({ description: 'Why that rotation is not over, one line for each host that is not done' }),
})
export type RotationCampaignItem = z.infer<typeof RotationCampaignItem>

export const RotationCampaignItemQuery = PageQuery.extend({ state: ItemState.optional() })

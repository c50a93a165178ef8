import { z } from 'zod'
import { OrganizationId, VaultId } from './ids.ts'
import { moment, name, text } from './text.ts'

/** A vault; the API calls it identity group (S2 "Creating vaults"). */
export const CreateVault = z
  .strictObject({
    organizationId: OrganizationId,
    name,
    description: text(0, 2000).nullable().optional(),
  })
  .meta({
    examples: [{ organizationId: '01980000-0000-7000-8000-000000000001', name: 'Databases', description: 'Everything that the database team looks after' }],
  })
export type CreateVault = z.infer<typeof CreateVault>

export const ChangeVault = CreateVault.omit({ organizationId: true }).partial()
export type ChangeVault = z.infer<typeof ChangeVault>

export const Vault = z.object({
  id: VaultId,
  organizationId: OrganizationId,
  name: z.string(),
  description: z.string().nullable(),
  identities: z.number().int().meta({ description: 'How many identities it holds; it must hold none to be deleted' }),
  version: z.number().int().meta({ description: 'The ETag' }),
  createdAt: moment,
})
export type Vault = z.infer<typeof Vault>

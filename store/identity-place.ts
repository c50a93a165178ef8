import type { IdentityId, OrganizationId, VaultId } from '#schemas/ids.ts'
import type { Transaction } from './connection.ts'

/** Where an identity lives, for the decision about it; undefined when there is none in this account. */
export async function readIdentityPlace(
  trx: Transaction,
  identityId: IdentityId,
): Promise<{ readonly organizationId: OrganizationId; readonly vaultId: VaultId; readonly identityId: IdentityId } | undefined> {
  const row = await trx
    .selectFrom('identity')
    .select(['organization_id', 'vault_id'])
    .where('id', '=', identityId)
    .where('deleted_at', 'is', null)
    .executeTakeFirst()
  return row && { organizationId: row.organization_id, vaultId: row.vault_id, identityId }
}

import { v7 as uuidv7 } from 'uuid'
import { ConnectorId, HostId, IdentityId, OrganizationId, VaultId } from '#schemas/ids.ts'
import type { CreateIdentity, Identity } from '#schemas/identity.ts'
import type { Permission } from '#schemas/principal.ts'
import type { Db } from '#store/connection.ts'
import { createHost } from '#store/change-host.ts'
import { createConnector } from '#store/connector.ts'
import { createIdentity } from '#store/create-identity.ts'
import { recordOrganizationSecret } from '#store/organization-secret.ts'
import { createOrganization } from '#store/organization.ts'
import { createVault } from '#store/vault.ts'
import { createTestAccount, type TestAccount } from './account.ts'
import type { TestDatabase } from './database.ts'
import { storedValue } from './stored-value.ts'

const people = {
  mia: 'owner',
  ola: ['pam_vaults.view', 'pam_vaults.manage', 'pam_vaults.break_glass', 'connectors.manage', 'organizations.manage'],
  sam: ['pam_vaults.view'],
} as const satisfies Record<string, readonly Permission[] | 'owner'>

/** An account with an organization, its secret, a vault, a connector and a host; identities as a test wants them. */
export interface VaultWorld {
  readonly account: TestAccount<keyof typeof people>
  readonly organizationId: OrganizationId
  readonly vaultId: VaultId
  readonly connectorId: ConnectorId
  readonly hostId: HostId
  readonly addIdentity: (settings?: Partial<Omit<CreateIdentity, 'credential'>>) => Promise<Identity>
}

export async function createVaultWorld(database: TestDatabase, db: Db): Promise<VaultWorld> {
  const account = await createTestAccount(database, db, people)
  const { actor } = account.people.mia
  const organizationId = OrganizationId.parse(uuidv7())
  const vaultId = VaultId.parse(uuidv7())
  const connectorId = ConnectorId.parse(uuidv7())
  const hostId = HostId.parse(uuidv7())
  await account.run(async (trx) => {
    await createOrganization(trx, organizationId, { name: 'main' }, actor)
    await recordOrganizationSecret(trx, organizationId, 1, actor)
    await createVault(trx, vaultId, { organizationId, name: 'demo' }, actor)
    await createConnector(trx, connectorId, { organizationId, name: 'edge' }, actor)
    await createHost(trx, hostId, { organizationId, name: 'target', address: 'db.internal', port: 5432, adapter: 'postgres', connectorId }, actor)
  })
  return {
    account,
    organizationId,
    vaultId,
    connectorId,
    hostId,
    addIdentity: (settings = {}) =>
      account.run((trx) =>
        createIdentity(
          trx,
          IdentityId.parse(uuidv7()),
          {
            identityGroupId: vaultId,
            name: `identity ${uuidv7()}`,
            username: 'app',
            credentialType: 'password',
            ...settings,
          },
          storedValue(),
          actor,
        ),
      ),
  }
}

import { sql } from 'kysely'
import type { ConnectorId, JobId, VaultId } from '#schemas/ids.ts'
import type { VaultKeyRef } from '#schemas/vault-key-ref.ts'
import type { Transaction } from './connection.ts'
import { readVaultKeyRef } from './vault.ts'

/**
 * The vault key under which a result of this job was authenticated.
 *
 * @param keyVersion version of the organization secret that the result names
 * @returns undefined when this connector has no such job
 */
export async function readJobKey(trx: Transaction, jobId: JobId, connectorId: ConnectorId, keyVersion: number): Promise<VaultKeyRef | undefined> {
  const { rows } = await sql<{ vault_id: VaultId }>`
    select r.vault_id from job j join rotation r on r.id = j.rotation_id where j.id = ${jobId}::uuid and j.connector_id = ${connectorId}::uuid
    union all select vault_id from credential_check where id = ${jobId}::uuid and connector_id = ${connectorId}::uuid`.execute(trx)
  return rows[0] && readVaultKeyRef(trx, rows[0].vault_id, keyVersion)
}

import { sql } from 'kysely'
import type { AccountId, IdentityId, OrganizationId, VaultId } from '#schemas/ids.ts'
import type { VaultKeyRef } from '#schemas/vault-key-ref.ts'
import type { Transaction } from './connection.ts'

/** What is kept of a value when nothing else is. */
export interface OldHash {
  readonly version: number
  /** The key that it was made with: an identity may have been in other vaults. */
  readonly key: VaultKeyRef
  /** Keyed hash of the value, 32 bytes. */
  readonly hash: Uint8Array
}

/** Hashes of the present value of an identity and of those before it, the newest first. */
export async function readPasswordHistory(trx: Transaction, identityId: IdentityId): Promise<readonly OldHash[]> {
  const { rows } = await sql<{
    version: number
    accountId: AccountId
    vaultId: VaultId
    organizationId: OrganizationId
    salt: Buffer
    keyId: string
    hash: Buffer
  }>`
    select p.version, p.account_id as "accountId", v.id as "vaultId", v.organization_id as "organizationId", v.salt, p.key_id as "keyId", p.hash
    from password_history p join vault v on v.id = p.vault_id where p.identity_id = ${identityId}::uuid order by p.version desc`.execute(trx)
  return rows.map(({ version, accountId, vaultId, organizationId, salt, keyId, hash }) => ({
    version,
    key: { accountId, organizationId, vaultId, vaultSalt: salt, keyVersion: Number(keyId.slice(1)) },
    hash,
  }))
}

import type { AccountId, OrganizationId, VaultId } from './ids.ts'

/** Everything that a vault key is derived from, except the organization secret itself. */
export interface VaultKeyRef {
  readonly accountId: AccountId
  readonly organizationId: OrganizationId
  readonly vaultId: VaultId
  /** HKDF salt of the vault, 32 bytes, not secret. */
  readonly vaultSalt: Uint8Array
  /** Version of the organization secret, from 1. */
  readonly keyVersion: number
}

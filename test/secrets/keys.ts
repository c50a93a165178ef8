import type { AccountId, IdentityId, OrganizationId, VaultId } from '#schemas/ids.ts'
import { Secret } from '#schemas/secret.ts'
import type { VaultKeyRef } from '#schemas/vault-key-ref.ts'
import { deriveVaultKey } from '#secrets/vault-keys.ts'

export const organizationSecret = Secret.of(Buffer.from(Array.from({ length: 32 }, (_, byte) => byte)))

/** The vault of the known answers, which another program computed. */
export const vaultRef: VaultKeyRef = {
  accountId: '0190a0a0-0000-7000-8000-000000000001' as AccountId,
  organizationId: '0190a0a0-0000-7000-8000-000000000002' as OrganizationId,
  vaultId: '0190a0a0-0000-7000-8000-000000000003' as VaultId,
  vaultSalt: Uint8Array.from({ length: 32 }, (_, byte) => 32 + byte),
  keyVersion: 3,
}
export const identityId = '0190a0a0-0000-7000-8000-000000000004' as IdentityId
export const vaultKey = deriveVaultKey(organizationSecret, vaultRef)

export const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code

/** @returns what `run` throws */
export function thrownBy(run: () => unknown): unknown {
  try {
    run()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

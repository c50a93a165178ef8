import type { IdentityId, VaultId } from '#schemas/ids.ts'
import type { SealedCredential } from '#schemas/job-facts.ts'
import type { Transaction } from './connection.ts'
import { readCredential } from './credential.ts'
import { isLegacyOpen, readVaultKeyRef } from './vault.ts'

/** A stored value with where its key comes from; undefined when it was never stored or is shredded. */
export async function readSealed(trx: Transaction, identityId: IdentityId, vaultId: VaultId, version: number): Promise<SealedCredential | undefined> {
  const sealed = await readCredential(trx, identityId, version)
  if (sealed === undefined) return undefined
  const keyVersion = sealed.encryptionVersion === 2 ? Number(sealed.keyId.slice(1)) : undefined
  const [vaultKey, legacyOpen] = [await readVaultKeyRef(trx, vaultId, keyVersion), await isLegacyOpen(trx, vaultId)]
  return { identityId, version, sealed, vaultKey, legacyOpen }
}

import { LeaseholdError } from '#schemas/errors.ts'
import type { OrganizationId, VaultId } from '#schemas/ids.ts'
import type { LegacyRow } from '#schemas/legacy-import.ts'
import { legacyKeyId, type Sealed } from '#schemas/sealed.ts'
import type { Secret } from '#schemas/secret.ts'
import type { VaultKeyRef } from '#schemas/vault-key-ref.ts'
import { passwordHash } from '#secrets/envelope.ts'
import { openLegacy, type LegacyKey } from '#secrets/legacy-envelope.ts'
import { readSshKey, type SshKey } from '#secrets/ssh-key.ts'
import { readLegacyState, type LegacyIdentity } from '#store/legacy-import.ts'
import { refuseFaults } from '#store/refusals.ts'
import { readVault, readVaultKeyRef } from '#store/vault.ts'
import type { Parts } from './parts.ts'
import type { RouteContext } from './route.ts'

type Value = Omit<LegacyIdentity, 'id'>

/**
 * Opens every row once, so that one under another key is refused now and not years later as a tampered one, and hashes its
 * value for the history. It is stored as it came: whoever reads it first seals it anew.
 *
 * @throws LeaseholdError `legacy-closed`, `validation-failed` naming the rows, `organization-secret-not-found`, `dependency-unavailable`
 */
export async function legacyValues(
  { vaultKeys }: Parts,
  inAccount: RouteContext<unknown, unknown, unknown, unknown>['inAccount'],
  organizationId: OrganizationId,
  rows: readonly LegacyRow[],
): Promise<Value[]> {
  const vaultIds = [...new Set(rows.map((row) => row.identityGroupId))]
  const refs = await inAccount(async (trx) => {
    if ((await readLegacyState(trx, organizationId)).state !== 'open') throw new LeaseholdError('legacy-closed')
    const found = new Map<VaultId, VaultKeyRef>()
    for (const vaultId of vaultIds) {
      const vault = await readVault(trx, vaultId).catch(() => undefined)
      if (vault?.organizationId === organizationId) found.set(vaultId, await readVaultKeyRef(trx, vaultId))
    }
    return found
  })
  refuseRows(rows, 'identityGroupId', 'must be a vault of this organization', (row) => refs.has(row.identityGroupId))
  const [first] = refs.values()
  if (first === undefined) return []
  const legacy = await vaultKeys.legacy(first.accountId, organizationId)
  const opened = rows.map((row) => tryOpen(legacy, row))
  refuseRows(rows, 'ciphertext', 'must open: its bytes, its version or the key are not right', (_, index) => opened[index] !== undefined)
  return Promise.all(
    rows.map(async ({ encryptionVersion: _version, ciphertext: _ciphertext, ...row }, index) => {
      const [ref, found] = [refs.get(row.identityGroupId) as VaultKeyRef, opened[index] as Opened]
      const key = await vaultKeys.get(ref)
      // What is no key by today's rules is kept all the same: it is what the old system gave out.
      const ssh: SshKey | undefined = row.credentialType === 'ssh_key' ? readSshKey(found.value) : undefined
      const publicKey = ssh !== undefined && 'publicKey' in ssh ? ssh : {}
      return { row, value: { sealed: found.sealed, hash: passwordHash(key, found.value), hashKeyId: key.keyId, ...publicKey } }
    }),
  )
}

interface Opened {
  readonly sealed: Sealed
  readonly value: Secret<string>
}

function tryOpen(key: LegacyKey, { encryptionVersion, ciphertext }: LegacyRow): Opened | undefined {
  const sealed = { encryptionVersion, keyId: legacyKeyId, ciphertext: Buffer.from(ciphertext, 'base64') }
  try {
    return { sealed, value: openLegacy(key, sealed) }
  } catch {
    return undefined
  }
}

function refuseRows(rows: readonly LegacyRow[], field: string, message: string, fits: (row: LegacyRow, index: number) => boolean): void {
  refuseFaults(rows.flatMap((row, index) => (fits(row, index) ? [] : [{ path: `rows.${index}.${field}`, message }])))
}

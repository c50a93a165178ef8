import { timingSafeEqual } from 'node:crypto'
import { formFault, type CredentialType } from '#schemas/credential-form.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { IdentityId, VaultId } from '#schemas/ids.ts'
import { Secret } from '#schemas/secret.ts'
import { passwordHash, seal } from '#secrets/envelope.ts'
import { readSshKey, type SshKey } from '#secrets/ssh-key.ts'
import type { StoredValue } from '#store/credential.ts'
import { readPasswordHistory, type OldHash } from '#store/password-history.ts'
import { readVaultKeyRef } from '#store/vault.ts'
import type { Parts } from './parts.ts'
import type { RouteContext } from './route.ts'

interface Place {
  readonly identityId: IdentityId
  readonly vaultId: VaultId
  readonly credentialType: CredentialType
}

/**
 * Checks a value that a person sent and gets the key of its vault, before any decision: without them nothing begins. What it
 * returns only computes, and throws `busy` where there is a later version than the value was compared with.
 *
 * @throws LeaseholdError `validation-failed` naming `credential` and the rule, `organization-secret-not-found`, `dependency-unavailable`
 */
export async function sealerFor(
  { vaultKeys }: Parts,
  { inAccount }: Pick<RouteContext<unknown, unknown, unknown, unknown>, 'inAccount'>,
  { identityId, vaultId, credentialType }: Place,
  value: Secret<string>,
): Promise<(version: number) => StoredValue> {
  const publicKey = checkForm(credentialType, value)
  const [keyRef, history] = await inAccount((trx) => Promise.all([readVaultKeyRef(trx, vaultId), readPasswordHistory(trx, identityId)]))
  const key = await vaultKeys.get(keyRef)
  const hash = passwordHash(key, value)
  const sameAs = await versionsOf(vaultKeys, history, value)
  return (version) => {
    // Stored since we looked, perhaps the very same value.
    if (version > (history[0]?.version ?? 0) + 1) throw new LeaseholdError('busy', { retryAfterSeconds: 1 })
    return { sealed: seal(key, { identityId, version, purpose: 'credential' }, value), hash, ...publicKey, ...(sameAs.length === 0 ? {} : { sameAs }) }
  }
}

/** Versions that had this value already. */
async function versionsOf(vaultKeys: Parts['vaultKeys'], history: readonly OldHash[], value: Secret<string>): Promise<number[]> {
  const found = await Promise.all(
    history.map(async ({ version, key, hash }) => (timingSafeEqual(passwordHash(await vaultKeys.get(key), value), hash) ? [version] : [])),
  )
  return found.flat()
}

function checkForm(type: CredentialType, value: Secret<string>): { readonly publicKey?: string } {
  const fault = formFault(type, value.expose())
  const form: SshKey | { readonly publicKey?: never } = fault === undefined ? (type === 'ssh_key' ? readSshKey(value) : {}) : { fault }
  if (!('fault' in form)) return form
  throw new LeaseholdError('validation-failed', { errors: [{ path: 'credential', message: form.fault }] })
}

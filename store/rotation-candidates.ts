import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { RotationId } from '#schemas/ids.ts'
import type { Principal } from '#schemas/principal.ts'
import type { Secret } from '#schemas/secret.ts'
import { appendAudit } from './audit.ts'
import { lockIdentity, readCheckoutFacts } from './checkout-facts.ts'
import type { Transaction } from './connection.ts'
import { readCredentials } from './credential.ts'
import { exposureInsert } from './exposure.ts'
import { confirmVaultAccess, readPrincipal } from './principal.ts'
import { awaitsPerson } from './resolve-rotation.ts'
import type { OpenValue } from './reveal.ts'
import { readRotation } from './rotation.ts'

export interface Candidate {
  readonly version: number
  readonly value: Secret<string>
}

/**
 * Shows both sides of a doubt: the value of each host as far as it is known, and the one that was to be set. On record before
 * it leaves, and what was seen counts as exposed. Where others must agree to a checkout only an owner sees them: somebody must be able
 * to find out which one works.
 *
 * @throws LeaseholdError `not-found`, `forbidden`, `nothing-to-resolve`, `inject-only`, `approval-required`, `decryption-failed`
 */
export async function showCandidates(
  trx: Transaction,
  asked: { readonly rotationId: RotationId; readonly principal: Principal; readonly actor: Actor; readonly open: OpenValue },
): Promise<{ readonly username: string; readonly current: readonly Candidate[]; readonly staged: Candidate }> {
  const { rotationId, principal, actor, open } = asked
  const before = await readRotation(trx, rotationId)
  const { identityId } = before
  await confirmVaultAccess(trx, principal, before, 'view_credentials')
  await lockIdentity(trx, identityId)
  const facts = await readCheckoutFacts(trx, identityId, null)
  const rotation = await readRotation(trx, rotationId)
  if (!awaitsPerson(rotation) || rotation.stagedVersion === null) throw new LeaseholdError('nothing-to-resolve')
  if (facts.exposure === 'inject_only') throw new LeaseholdError('inject-only')
  if (facts.approvalRequired && (await readPrincipal(trx, principal.userId))?.owner !== true) throw new LeaseholdError('approval-required')
  const credentials = await readCredentials(trx, identityId)
  const show = async (version: number): Promise<Candidate> => {
    const sealed = credentials.get(version)
    if (sealed === undefined) throw new LeaseholdError('decryption-failed')
    const value = open(facts, version, sealed)
    await exposureInsert({ identityId, hostId: null, version, userId: principal.userId, leaseId: null }).execute(trx)
    return { version, value }
  }
  const versions = [...new Set(facts.hosts.length === 0 ? [facts.currentVersion] : facts.hosts.map((host) => host.knownVersion))]
  const current: Candidate[] = []
  for (const version of versions) if (version !== rotation.stagedVersion) current.push(await show(version))
  const staged = await show(rotation.stagedVersion)
  await appendAudit(trx, {
    actor,
    action: 'rotation.credentials_read',
    effect: 'permit',
    outcome: 'success',
    organizationId: facts.organizationId,
    vaultId: facts.vaultId,
    identityId,
    rotationId,
    detail: { versions: [...current.map(({ version }) => version), staged.version] },
  })
  return { username: facts.username, current, staged }
}

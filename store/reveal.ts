import type { Actor } from '#schemas/audit-event.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { HostId, IdentityId, LeaseId } from '#schemas/ids.ts'
import type { Principal } from '#schemas/principal.ts'
import { versionFor } from '#schemas/rules/checkout.ts'
import type { Sealed } from '#schemas/sealed.ts'
import type { Secret } from '#schemas/secret.ts'
import { appendAudit } from './audit.ts'
import { lockIdentity, readCheckoutFacts, type CheckoutFacts } from './checkout-facts.ts'
import type { Transaction } from './connection.ts'
import { readCredential, readCredentials } from './credential.ts'
import { exposureInsert } from './exposure.ts'
import { readLease } from './lease.ts'
import { showPossible, type PossibleCredential } from './possible-credentials.ts'
import { confirmEmergency, confirmVaultAccess } from './principal.ts'

/** Opens a stored value in memory; throws `busy` when the key it needs was not fetched before the transaction. */
export type OpenValue = (facts: CheckoutFacts, version: number, sealed: Sealed) => Secret<string>

export interface ShownCredential {
  readonly username: string
  readonly value: Secret<string>
}

interface LeaseCredential extends ShownCredential {
  readonly alsoPossible: readonly PossibleCredential[]
}

interface Asking {
  readonly principal: Principal
  readonly actor: Actor
  readonly open: OpenValue
}

/**
 * Shows a value without a lease. On record before it leaves, like every value.
 *
 * @throws LeaseholdError `not-found`, `forbidden`, `identity-disabled`, `inject-only`, `approval-required`, `identity-checked-out` (somebody else holds it exclusively), `host-required`
 */
export async function revealCredential(
  trx: Transaction,
  asked: Asking & { readonly identityId: IdentityId; readonly hostId: HostId | null; readonly reason?: Sealed },
): Promise<ShownCredential> {
  const { identityId, hostId, principal } = asked
  const before = await readCheckoutFacts(trx, identityId, null)
  await confirmVaultAccess(trx, principal, before, 'view_credentials')
  await lockIdentity(trx, identityId)
  const facts = await readCheckoutFacts(trx, identityId, null)
  // Moved to another vault meanwhile: the authority that was confirmed is not the one that counts.
  if (facts.vaultId !== before.vaultId) throw new LeaseholdError('busy', { retryAfterSeconds: 1 })
  if (!facts.active) throw new LeaseholdError('identity-disabled')
  if (facts.exposure === 'inject_only') throw new LeaseholdError('inject-only')
  // Whoever needs others to agree to a checkout does not get the same value without them.
  if (facts.approvalRequired) throw new LeaseholdError('approval-required')
  const other = facts.allowConcurrentCheckout ? undefined : facts.leases.find((lease) => lease.userId !== principal.userId)
  if (other !== undefined) {
    throw new LeaseholdError('identity-checked-out', { until: other.expiresAt.toISOString(), ...(other.holder === null ? {} : { holder: other.holder }) })
  }
  const version = versionFor(facts, hostId)
  if (version === undefined) throw new LeaseholdError('host-required', { hostIds: facts.hosts.map((host) => host.hostId) })
  const shown = await show(trx, asked, facts, { hostId, version, leaseId: null })
  await appendAudit(trx, {
    actor: asked.actor,
    action: 'identity.revealed',
    effect: 'permit',
    outcome: 'success',
    organizationId: facts.organizationId,
    vaultId: facts.vaultId,
    identityId,
    hostId,
    ...(asked.reason === undefined ? {} : { reason: asked.reason }),
    detail: { credentialVersion: version },
  })
  return shown
}

/**
 * Shows the value of an active lease to its holder once more; in an emergency every value that may log in by now.
 *
 * @throws LeaseholdError `not-found`, `forbidden`, `lease-not-active`, `inject-only`
 */
export async function showLeaseCredential(trx: Transaction, asked: Asking & { readonly leaseId: LeaseId }): Promise<LeaseCredential> {
  const before = await readLease(trx, asked.leaseId)
  if (before.userId !== asked.principal.userId) throw new LeaseholdError('forbidden', { missing: 'only the holder sees the credential of a lease' })
  const emergency = before.mode === 'break_glass'
  await (emergency ? confirmEmergency(trx, asked.principal, before) : confirmVaultAccess(trx, asked.principal, before, 'checkout'))
  await lockIdentity(trx, before.identityId)
  const lease = await readLease(trx, asked.leaseId)
  if (lease.state !== 'active' || lease.remainingMs === 0) throw new LeaseholdError('lease-not-active')
  const facts = await readCheckoutFacts(trx, lease.identityId, null)
  if (facts.exposure === 'inject_only') throw new LeaseholdError('inject-only')
  const { hostId, leaseId, credentialVersion: version } = lease
  const to = { hostId, leaseId, userId: asked.principal.userId, open: asked.open }
  const [likeliest, ...alsoPossible] = emergency ? await showPossible(trx, facts, await readCredentials(trx, facts.identityId), to) : []
  const shown = likeliest ?? (await show(trx, asked, facts, { hostId, version, leaseId }))
  await appendAudit(trx, {
    actor: asked.actor,
    action: 'lease.credential_read',
    effect: 'permit',
    outcome: 'success',
    organizationId: facts.organizationId,
    vaultId: facts.vaultId,
    identityId: facts.identityId,
    hostId,
    leaseId,
    breakGlass: emergency,
    detail: { credentialVersion: version, ...(alsoPossible.length === 0 ? {} : { alsoPossible: alsoPossible.map((other) => other.version) }) },
  })
  return { ...shown, alsoPossible }
}

async function show(
  trx: Transaction,
  { principal, open }: Asking,
  facts: CheckoutFacts,
  at: { readonly hostId: HostId | null; readonly version: number; readonly leaseId: LeaseId | null },
): Promise<ShownCredential> {
  const sealed = await readCredential(trx, facts.identityId, at.version)
  if (sealed === undefined) throw new LeaseholdError('decryption-failed')
  const value = open(facts, at.version, sealed)
  await exposureInsert({ identityId: facts.identityId, hostId: at.hostId, version: at.version, userId: principal.userId, leaseId: at.leaseId }).execute(trx)
  return { username: facts.username, value }
}

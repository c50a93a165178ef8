import type { Actor } from '#schemas/audit-event.ts'
import type { IdentityId, LeaseId, OrganizationId, VaultId } from '#schemas/ids.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'

export interface Tampered {
  readonly actor: Actor
  readonly organizationId?: OrganizationId | null
  readonly vaultId?: VaultId | null
  readonly identityId?: IdentityId
  readonly leaseId?: LeaseId
}

/** A stored value did not open: it was changed or moved outside of us. What was to be decided with it was rolled back; this stays. */
export async function recordTampering(trx: Transaction, { actor, organizationId, vaultId, identityId, leaseId }: Tampered): Promise<void> {
  await appendAudit(trx, {
    actor,
    action: 'credential.decryption_failed',
    effect: 'deny',
    outcome: 'decryption-failed',
    ...(organizationId ? { organizationId } : {}),
    ...(vaultId ? { vaultId } : {}),
    ...(identityId ? { identityId } : {}),
    ...(leaseId ? { leaseId } : {}),
  })
}

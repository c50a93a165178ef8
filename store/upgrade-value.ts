import type { Actor } from '#schemas/audit-event.ts'
import type { IdentityId, OrganizationId, VaultId } from '#schemas/ids.ts'
import type { Sealed } from '#schemas/sealed.ts'
import { appendAudit } from './audit.ts'
import type { Transaction } from './connection.ts'
import { reseal } from './reencryption.ts'

/** A value from before vault keys that somebody had opened, and the same value under the key of its vault. */
export interface Upgrade {
  readonly organizationId: OrganizationId
  readonly vaultId: VaultId
  readonly identityId: IdentityId
  readonly version: number
  readonly old: Sealed
  readonly next: Sealed
}

/** Stores it under the key of its vault (S2: "upgraded on next access"). One that was changed meanwhile stays as it is. */
export async function upgradeValue(trx: Transaction, { organizationId, vaultId, identityId, version, old, next }: Upgrade, actor: Actor): Promise<void> {
  if (!(await reseal(trx, { identityId, vaultId, sealed: old, of: { version } }, next))) return
  await appendAudit(trx, {
    actor,
    action: 'credential.upgraded',
    effect: 'permit',
    outcome: 'success',
    organizationId,
    vaultId,
    identityId,
    detail: { credentialVersion: version, from: old.encryptionVersion, to: next.encryptionVersion },
  })
}

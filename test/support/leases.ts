import { randomBytes, randomUUID } from 'node:crypto'
import { LeaseId, type IdentityId } from '#schemas/ids.ts'
import type { LeaseFacts } from '#schemas/lease-facts.ts'
import type { Principal } from '#schemas/principal.ts'
import { Secret } from '#schemas/secret.ts'
import { acquireLease } from '#store/acquire-lease.ts'
import type { Transaction } from '#store/connection.ts'
import { readIdentity } from '#store/identity.ts'

/** Checks an identity out as `principal`, with values that nothing opens. */
export async function checkOut(trx: Transaction, principal: Principal, identityId: IdentityId, minutes = 30): Promise<LeaseFacts> {
  const identity = await readIdentity(trx, identityId)
  const { lease } = await acquireLease(trx, {
    leaseId: LeaseId.parse(randomUUID()),
    identityId,
    vault: { vaultId: identity.identityGroupId, organizationId: identity.organizationId },
    hostId: null,
    minutes,
    principal,
    actor: { kind: 'user', id: principal.userId },
    requestHash: randomBytes(32),
    reason: { encryptionVersion: 2, keyId: 'o1', ciphertext: randomBytes(40) },
    open: () => Secret.of('opened'),
  })
  return lease
}

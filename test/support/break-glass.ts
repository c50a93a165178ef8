import { randomBytes, randomUUID } from 'node:crypto'
import { LeaseId, type IdentityId } from '#schemas/ids.ts'
import type { Principal } from '#schemas/principal.ts'
import { Secret } from '#schemas/secret.ts'
import { enrolPassphrase, findPassphrase } from '#store/break-glass-credential.ts'
import type { Transaction } from '#store/connection.ts'
import { readIdentity } from '#store/identity.ts'
import { openBreakGlass, type BreakGlassUse } from '#store/open-break-glass.ts'

/** Breaks the glass of an identity as `principal`, whose passphrase nobody asks for, with values that are their versions. */
export async function breakTheGlass(trx: Transaction, principal: Principal, identityId: IdentityId, minutes: number | null = null): Promise<BreakGlassUse> {
  const identity = await readIdentity(trx, identityId)
  const actor = { kind: 'user', id: principal.userId } as const
  const hash = { salt: randomBytes(16), tag: randomBytes(32), memoryKib: 64, passes: 1, lanes: 1 }
  if ((await findPassphrase(trx, principal.userId)) === undefined) await enrolPassphrase(trx, principal.userId, hash, actor)
  const sealed = () => ({ encryptionVersion: 2, keyId: 'o1', ciphertext: randomBytes(40) }) as const
  return openBreakGlass(trx, {
    leaseId: LeaseId.parse(randomUUID()),
    identityId,
    vault: { vaultId: identity.identityGroupId, organizationId: identity.organizationId },
    hostId: null,
    minutes,
    principal,
    actor,
    requestHash: randomBytes(32),
    reason: sealed(),
    justification: sealed(),
    credentialId: (await findPassphrase(trx, principal.userId))?.id ?? '',
    open: (_, version) => Secret.of(`value ${version}`),
  })
}

import { z } from 'zod'
import { decide } from '#policy/decide.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { Identity, MoveIdentity } from '#schemas/identity.ts'
import { IdentityId, type OrganizationId, type VaultId } from '#schemas/ids.ts'
import { seal } from '#secrets/envelope.ts'
import { readCheckoutFacts } from '#store/checkout-facts.ts'
import { readIdentityPlace } from '#store/identity-place.ts'
import { moveIdentity } from '#store/move-identity.ts'
import { readVault, readVaultKeyRef } from '#store/vault.ts'
import { etag, ifMatch } from './etag.ts'
import { fetchKeyRing } from './key-ring.ts'
import type { Parts } from './parts.ts'
import { reply, type DefineRoute, type RouteContext } from './route.ts'

export function moveRoutes(route: DefineRoute, parts: Parts): void {
  route(
    {
      method: 'post',
      path: '/v1/identities/:id/move',
      action: 'identity.move',
      summary: 'Move an identity to another vault; its values are encrypted anew',
      params: z.object({ id: IdentityId }),
      body: MoveIdentity,
      answers: { 200: Identity },
      refuses: [
        'precondition-failed',
        'already-exists',
        'in-use',
        'identity-checked-out',
        'identity-rotating',
        'rotation-open',
        'organization-secret-not-found',
        'decryption-failed',
      ],
      find: (trx, { params: { id } }) => readIdentityPlace(trx, id),
    },
    async (context) => {
      const identity = await moveTo(parts, context, context.body.identityGroupId)
      return reply(200, identity, etag(identity))
    },
  )
}

type Moving = Pick<
  RouteContext<unknown, unknown, unknown, { readonly organizationId: OrganizationId; readonly vaultId: VaultId; readonly identityId: IdentityId }>,
  'principal' | 'actor' | 'request' | 'found' | 'inAccount'
>

/**
 * Asks for the same right on both vaults, fetches the keys of both, and only then begins.
 *
 * @throws LeaseholdError as `moveIdentity`, and `organization-secret-not-found`, `dependency-unavailable`
 */
export async function moveTo({ vaultKeys }: Parts, { principal, actor, request, found, inAccount }: Moving, to: VaultId): Promise<Identity> {
  const { identityId, organizationId, vaultId } = found
  const target = await inAccount((trx) => readVault(trx, to))
  const decision = decide(principal, 'identity.move', { organizationId: target.organizationId, vaultId: to })
  if (!decision.permit) throw new LeaseholdError(decision.code, decision.code === 'forbidden' ? { missing: 'pam_vaults.manage' } : {})
  const [facts, ref] = await inAccount((trx) => Promise.all([readCheckoutFacts(trx, identityId, null), readVaultKeyRef(trx, to)]))
  const [ring, key] = await Promise.all([fetchKeyRing(vaultKeys, facts), vaultKeys.get(ref)])
  return inAccount((trx) =>
    moveIdentity(trx, {
      id: identityId,
      from: { organizationId, vaultId },
      to,
      principal,
      actor,
      reseal: (now, version, sealed) => seal(key, { identityId, version, purpose: 'credential' }, ring.openValue(now, version, sealed)),
      keyVersion: ref.keyVersion,
      expectedVersion: ifMatch(request),
    }),
  )
}

import { z } from 'zod'
import { Identity, MoveIdentity } from '#schemas/identity.ts'
import { IdentityId, type OrganizationId, type VaultId } from '#schemas/ids.ts'
import { seal } from '#secrets/envelope.ts'
import { readCheckoutFacts } from '#store/checkout-facts.ts'
import { readIdentityPlace } from '#store/identity-place.ts'
import { moveIdentity } from '#store/move-identity.ts'
import type { VaultPlace } from '#store/principal.ts'
import { readVault, readVaultKeyRef } from '#store/vault.ts'
import { authorize } from './authorize.ts'
import { askPolicies, circumstancesOf, questionOf } from './enforce.ts'
import { etag, ifMatch } from './etag.ts'
import { fetchKeyRing } from './key-ring.ts'
import type { Parts } from './parts.ts'
import { reply, type DefineRoute, type RouteContext } from './route.ts'
import { requireLogin, stepUpRuleFor } from './step-up.ts'

export const moveRefusals = [
  'approvals-lost',
  'already-exists',
  'identity-checked-out',
  'identity-rotating',
  'rotation-open',
  'in-use',
  'organization-secret-not-found',
  'decryption-failed',
] as const

export function moveRoutes(route: DefineRoute, parts: Parts): void {
  route(
    {
      method: 'post',
      path: '/v1/identities/:id/move',
      action: 'identity.move',
      confirms: true,
      summary: 'Move an identity to another vault; its values are encrypted anew',
      params: z.object({ id: IdentityId }),
      body: MoveIdentity,
      answers: { 200: Identity },
      versioned: true,
      refuses: moveRefusals,
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
  'principal' | 'actor' | 'token' | 'request' | 'found' | 'inAccount'
>

/**
 * Asks for the same right on both vaults, fetches the keys of both, and only then begins.
 *
 * @throws LeaseholdError as `moveIdentity`, and `organization-secret-not-found`, `dependency-unavailable`
 */
export async function moveTo(parts: Parts, moving: Moving, to: VaultId): Promise<Identity> {
  const { principal, actor, request, found, inAccount } = moving
  const { vaultKeys } = parts
  const { identityId, organizationId, vaultId } = found
  const target = await inAccount((trx) => readVault(trx, to))
  await requireBothSides(parts, moving, { organizationId: target.organizationId, vaultId: to })
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

/**
 * A move is decided on both sides, however it was asked for: permission and policies for either vault, and a login that is good
 * enough for what the organization that gives the value away asks for.
 *
 * @throws LeaseholdError `forbidden`, `not-found`, `insufficient-user-authentication`
 */
async function requireBothSides(parts: Parts, { principal, actor, token, found, inAccount }: Moving, target: VaultPlace): Promise<void> {
  const caller = { accountId: principal.accountId, userId: principal.userId, token, actor, principal }
  const { identityId, organizationId, vaultId } = found
  await authorize(parts.db, caller, 'identity.move', { ...target, identityId })
  for (const place of [{ organizationId, vaultId }, target]) {
    const { login } = await askPolicies(parts, principal, questionOf(principal, 'identity.move', { ...place, identityId }, circumstancesOf({ token, actor })))
    requireLogin(login, token, parts.config)
  }
  const given = ['identity.move', 'identity.reveal', 'identity.checkout'] as const
  const rules = await inAccount((trx) => Promise.all(given.map((action) => stepUpRuleFor(trx, parts.config, action, { organizationId }))))
  for (const rule of rules) requireLogin(rule, token, parts.config)
}

import { z } from 'zod'
import { IdentityId } from '#schemas/ids.ts'
import { RevealAnswer, RevealBody } from '#schemas/lease.ts'
import { readCheckoutFacts } from '#store/checkout-facts.ts'
import { revealCredential } from '#store/reveal.ts'
import { fetchKeyRing, withUpgrade } from './key-ring.ts'
import type { Parts } from './parts.ts'
import { reply, type DefineRoute } from './route.ts'

/** How long a value may stay on a screen (S2 "Revealing credentials"). */
const clearAfterSeconds = 30

export function revealRoutes(route: DefineRoute, { vaultKeys }: Parts): void {
  route(
    {
      method: 'post',
      path: '/v1/identities/:id/reveal',
      action: 'identity.reveal',
      summary: 'Show the credential without a lease',
      params: z.object({ id: IdentityId }),
      body: RevealBody,
      answers: { 200: RevealAnswer },
      refuses: ['identity-disabled', 'inject-only', 'identity-checked-out', 'host-required', 'organization-secret-not-found', 'decryption-failed'],
      find: async (trx, { params }) => {
        const facts = await readCheckoutFacts(trx, params.id, null)
        return { organizationId: facts.organizationId, vaultId: facts.vaultId, identityId: facts.identityId, facts }
      },
    },
    async ({ principal, actor, body, found, inAccount }) => {
      const { facts, identityId } = found
      const ring = await fetchKeyRing(vaultKeys, facts)
      const reason = body.reason === undefined ? {} : { reason: ring.sealReason(identityId, body.reason) }
      const asked = { identityId, hostId: body.hostId ?? null, principal, actor, open: ring.openValue, ...reason }
      const shown = await inAccount(withUpgrade(ring, actor, (trx) => revealCredential(trx, asked)))
      return reply(200, { username: shown.username, value: shown.value.expose(), clearAfterSeconds })
    },
  )
}

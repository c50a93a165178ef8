import { v5 as uuidv5 } from 'uuid'
import { z } from 'zod'
import { LeaseholdError } from '#schemas/errors.ts'
import { IdentityId, LeaseId } from '#schemas/ids.ts'
import { CheckoutAnswer, CheckoutBody } from '#schemas/lease.ts'
import type { Principal } from '#schemas/principal.ts'
import { checkoutRefusal } from '#schemas/rules/checkout.ts'
import { acquireLease } from '#store/acquire-lease.ts'
import { readCheckoutFacts } from '#store/checkout-facts.ts'
import { endOverdueLeases } from '#store/release-lease.ts'
import { temporalSilence } from '#store/relay-state.ts'
import type { Idempotency } from './idempotency.ts'
import { fetchKeyRing } from './key-ring.ts'
import type { Parts } from './parts.ts'
import { presentLease } from './present-lease.ts'
import { reply, type DefineRoute } from './route.ts'

/** Standard checkouts stop when nobody has promised to end leases for so long, ms. */
const longestSilence = 15 * 60_000

/** A retry of the same caller with the same key finds the lease that it made. */
const leaseIdOf = ({ accountId, userId }: Principal, { key }: Idempotency): LeaseId => LeaseId.parse(uuidv5(`lease:${userId}:${key}`, accountId))

export function checkoutRoutes(route: DefineRoute, { vaultKeys, wakeLoops }: Parts): void {
  route(
    {
      method: 'post', path: '/v1/identities/:id/checkout', action: 'identity.checkout', summary: 'Take a lease and get the credential',
      params: z.object({ id: IdentityId }), body: CheckoutBody, answers: { 201: CheckoutAnswer }, idempotent: true,
      find: async (trx, { principal, params, idempotency }) => {
        const leaseId = leaseIdOf(principal, idempotency as Idempotency)
        const facts = await readCheckoutFacts(trx, params.id, leaseId)
        return { organizationId: facts.organizationId, vaultId: facts.vaultId, identityId: facts.identityId, facts, leaseId, silence: await temporalSilence(trx) }
      },
    },
    async ({ principal, actor, body, found, idempotency, inAccount }) => {
      const { facts, leaseId, identityId, organizationId, vaultId } = found
      const hostId = body.hostId ?? null
      if (facts.replayOf === null) {
        if (found.silence > longestSilence) throw new LeaseholdError('dependency-unavailable', { role: 'temporal', retryAfterSeconds: 5 })
        // Losers of a race are answered without waiting for the lock; the winner is decided again behind it.
        const refusal = checkoutRefusal(facts, hostId, facts.now)
        if (refusal !== undefined) throw new LeaseholdError(refusal.code, refusal.facts)
      }
      const ring = await fetchKeyRing(vaultKeys, facts)
      const reason = ring.sealReason(identityId, body.reason)
      if (facts.overdue.length > 0) await inAccount((trx) => endOverdueLeases(trx, identityId, { kind: 'system', id: 'checkout' }))
      const { lease, credential, replayed } = await inAccount((trx) => acquireLease(trx, {
        leaseId, identityId, vault: { vaultId, organizationId }, hostId, minutes: body.durationMinutes, principal, actor,
        requestHash: idempotency.requestHash, reason, open: ring.openValue,
      }))
      wakeLoops()
      const shown = presentLease(leaseId, lease, { holder: principal.name ?? principal.sub, reason: body.reason, endedBy: null })
      return reply(201, { lease: shown, credential: credential && { username: credential.username, value: credential.value.expose() } }, {
        location: `/v1/leases/${leaseId}`, ...(replayed ? { 'idempotent-replayed': 'true' } : {}),
      })
    },
  )
}

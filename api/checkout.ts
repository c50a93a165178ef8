import { v5 as uuidv5 } from 'uuid'
import { z } from 'zod'
import { LeaseholdError } from '#schemas/errors.ts'
import { IdentityId, LeaseId, type HostId } from '#schemas/ids.ts'
import { AccessRequestAnswer } from '#schemas/access-request.ts'
import { CheckoutAnswer, CheckoutBody } from '#schemas/lease.ts'
import { checkoutRefusal, lastingRefusal, type Refusal } from '#schemas/rules/checkout.ts'
import { acquireLease, type Checkout, type LeaseRequest } from '#store/acquire-lease.ts'
import { readCheckoutFacts, type CheckoutFacts } from '#store/checkout-facts.ts'
import { endOverdueLeases } from '#store/release-lease.ts'
import { temporalSilence } from '#store/relay-state.ts'
import { askApprovers } from './ask-approvers.ts'
import type { Login } from './authenticate.ts'
import type { Idempotency } from './idempotency.ts'
import { fetchKeyRing, withUpgrade, type KeyRing } from './key-ring.ts'
import type { Parts } from './parts.ts'
import { presentLease } from './present-lease.ts'
import { reply, type DefineRoute, type RouteContext } from './route.ts'
import { whenFree } from './when-free.ts'

/** A retry of the same caller with the same key finds the lease that it made. */
export const leaseIdOf = ({ accountId, userId }: Login, { key }: Idempotency): LeaseId => LeaseId.parse(uuidv5(`lease:${userId}:${key}`, accountId))

export function checkoutRoutes(route: DefineRoute, parts: Parts): void {
  const { config, vaultKeys, wakeLoops } = parts
  const longestSilence = config.temporalSilenceMinutes * 60_000
  route(
    {
      method: 'post',
      path: '/v1/identities/:id/checkout',
      action: 'identity.checkout',
      summary: 'Take a lease and get the credential',
      params: z.object({ id: IdentityId }),
      body: CheckoutBody,
      answers: { 201: CheckoutAnswer, 202: AccessRequestAnswer },
      idempotent: true,
      counted: 'checkout',
      approved: () => true,
      asked: ({ durationMinutes: minutes }) => ({ minutes }),
      findAtOnce: true,
      refuses: [
        'identity-disabled',
        'identity-checked-out',
        'max-concurrent-sessions',
        'identity-rotating',
        'identity-draining',
        'identity-awaiting-rotation',
        'host-required',
        'quorum-unreachable',
        'approvals-missing',
        'access-request-closed',
        'access-request-open',
        'access-request-limit',
        'outside-time-window',
        'organization-secret-not-found',
        'decryption-failed',
      ],
      find: async (trx, { caller, params, idempotency }) => {
        const leaseId = leaseIdOf(caller, idempotency as Idempotency)
        const [facts, silence] = await Promise.all([readCheckoutFacts(trx, params.id, leaseId), temporalSilence(trx)])
        const { organizationId, vaultId, identityId } = facts
        return { organizationId, vaultId, identityId, leaseId, facts, ownStepUp: facts.stepUp, isSilent: silence > longestSilence }
      },
    },
    async (context) => {
      const { principal, actor, decisionEndsAt, approvers, body, found, idempotency, inAccount } = context
      const { facts, leaseId, identityId, organizationId, vaultId } = found
      const hostId = body.hostId ?? null
      const asks = body.requestId == null && facts.replayOf === null && (facts.approvalRequired || approvers > 0)
      const refusal = (asks ? lastingRefusal(facts, hostId) : lookAhead(facts, hostId)) ?? (found.isSilent ? promisedToNobody(facts) : undefined)
      if (refusal !== undefined) throw new LeaseholdError(refusal.code, refusal.facts)
      if (asks) return askApprovers(parts, context)
      const ring = await fetchKeyRing(vaultKeys, facts)
      const reason = ring.sealReason(identityId, body.reason)
      if (facts.overdue.length > 0) await inAccount((trx) => endOverdueLeases(trx, identityId, { kind: 'system', id: 'checkout' }))
      const request = {
        leaseId,
        identityId,
        vault: { vaultId, organizationId },
        hostId,
        minutes: body.durationMinutes,
        decisionEndsAt,
        requestId: body.requestId ?? null,
        ticket: body.ticket ?? null,
        approvers,
        principal,
        actor,
        requestHash: idempotency.requestHash,
        reason,
      }
      const { lease, ticket, credential, replayed } = await decideWhenFree(inAccount, vaultKeys, request, ring)
      // crash point: checkout committed
      wakeLoops()
      const shown = presentLease(leaseId, lease, {
        holder: principal.name ?? principal.sub,
        reason: body.reason,
        ticket,
        endedBy: null,
        requestId: request.requestId,
      })
      return reply(
        201,
        { lease: shown, credential: credential && { username: credential.username, value: credential.value.expose() } },
        {
          location: `/v1/leases/${leaseId}`,
          ...(replayed ? { 'idempotent-replayed': 'true' } : {}),
        },
      )
    },
  )
}

/** What can be refused without the lock: losers of a race need not wait for it. The winner is decided again behind it. */
const lookAhead = (facts: CheckoutFacts, hostId: HostId | null): Refusal | undefined =>
  facts.replayOf === null ? checkoutRefusal(facts, hostId, facts.now) : undefined

/** Temporal has not answered for too long: nobody is there who could see to the end of something new. */
const promisedToNobody = ({ replayOf }: CheckoutFacts): Refusal | undefined =>
  replayOf === null ? { code: 'dependency-unavailable', facts: { role: 'temporal', retryAfterSeconds: 5 } } : undefined

const tries = 3

/** Who waited too long for the lock looks again: mostly somebody else has got the identity meanwhile, and that is the answer. */
async function decideWhenFree(
  inAccount: RouteContext<unknown, unknown, unknown, unknown>['inAccount'],
  vaultKeys: Parts['vaultKeys'],
  request: Omit<LeaseRequest, 'open'>,
  first: KeyRing,
): Promise<Checkout> {
  let ring = first
  return whenFree(
    tries,
    () => inAccount(withUpgrade(ring, request.actor, (trx) => acquireLease(trx, { ...request, open: ring.openValue }))),
    async () => {
      const facts = await inAccount((trx) => readCheckoutFacts(trx, request.identityId, request.leaseId))
      const refusal = facts.replayOf === null ? checkoutRefusal(facts, request.hostId, facts.now) : undefined
      if (refusal !== undefined) throw new LeaseholdError(refusal.code, refusal.facts)
      // The value may be sealed under another key by now.
      ring = await fetchKeyRing(vaultKeys, facts)
    },
  )
}

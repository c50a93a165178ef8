import { z } from 'zod'
import { BreakGlassAnswer, BreakGlassBody } from '#schemas/break-glass.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { IdentityId } from '#schemas/ids.ts'
import { readCheckoutFacts } from '#store/checkout-facts.ts'
import { openBreakGlass, type BreakGlassRequest, type BreakGlassUse } from '#store/open-break-glass.ts'
import { recordDenial } from './authorize.ts'
import { checkBreakGlassCredential, type BreakGlassContext } from './break-glass-trial.ts'
import { leaseIdOf } from './checkout.ts'
import { requestHashOf, type Idempotency } from './idempotency.ts'
import { createLanes } from './lanes.ts'
import { fetchKeyRing, withUpgrade, type KeyRing } from './key-ring.ts'
import type { Parts } from './parts.ts'
import { presentPossible } from './present-possible.ts'
import { presentLease } from './present-lease.ts'
import { reply, type DefineRoute } from './route.ts'
import { emergencyTries, whenFree } from './when-free.ts'

const path = '/v1/identities/:id/break-glass'
/** How long a crowd may wait for the locks of one person or organization, ms. */
const laneLimit = 10_000

/** Access in an emergency: nobody is asked first, and everybody hears of it. */
export function breakGlassRoutes(route: DefineRoute, parts: Parts): void {
  const lanes = createLanes(1, laneLimit)
  route(
    {
      method: 'post',
      path,
      action: 'identity.break-glass',
      summary: 'Take an emergency lease: at once, told to every admin, rotated and reviewed afterwards',
      params: z.object({ id: IdentityId }),
      body: BreakGlassBody,
      answers: { 201: BreakGlassAnswer },
      idempotent: true,
      ownLimit: true,
      emergency: true,
      // Nobody can be asked in time, whatever an obligation says of uses.
      approved: () => true,
      findAtOnce: true,
      asked: ({ durationMinutes }) => (durationMinutes === undefined ? {} : { minutes: durationMinutes }),
      refuses: [
        'break-glass-credential-refused',
        'break-glass-rate-limited',
        'security-keys-unavailable',
        'identity-disabled',
        'organization-secret-not-found',
        'decryption-failed',
      ],
      find: async (trx, { caller, params, idempotency }) => {
        const leaseId = leaseIdOf(caller, idempotency as Idempotency)
        const facts = await readCheckoutFacts(trx, params.id, leaseId)
        const { organizationId, vaultId, identityId } = facts
        return { organizationId, vaultId, identityId, leaseId, facts, ownStepUp: facts.stepUp, withoutProvider: facts.breakGlassWithoutProvider }
      },
    },
    async (context) => {
      const { principal, actor, decisionEndsAt, params, body, found, idempotency } = context
      const { leaseId, identityId } = found
      const ring = await fetchKeyRing(parts.vaultKeys, found.facts)
      const credentialId = await limited(parts, context, () => checkBreakGlassCredential(parts, context, lanes))
      const { breakGlassCredential: _checked, ...said } = body
      const request = {
        leaseId,
        identityId,
        vault: { vaultId: found.facts.vaultId, organizationId: found.facts.organizationId },
        hostId: body.hostId ?? null,
        ticket: body.ticket ?? null,
        minutes: body.durationMinutes ?? null,
        decisionEndsAt,
        principal,
        actor,
        // Without the credential: a quick hash of a passphrase would be easier to guess at than the one that is stored, and a signature is another one each time.
        requestHash: requestHashOf(parts.requestHashKey, idempotency.route, params, said),
        reason: ring.sealReason(identityId, body.reason),
        justification: ring.sealReason(identityId, body.justification),
        credentialId,
      }
      const use = await limited(parts, context, () => lanes(request.vault.organizationId, () => openWhenFree(parts, context, request, ring)))
      // crash point: break-glass committed
      parts.wakeLoops()
      const { lease, beyondLimit, possible, replayed } = use
      const [credential = null, ...alsoPossible] = possible.map(presentPossible)
      const shown = presentLease(leaseId, lease, {
        holder: principal.name ?? principal.sub,
        reason: body.reason,
        ticket: request.ticket,
        endedBy: null,
        requestId: null,
      })
      return reply(
        201,
        { lease: shown, beyondLimit, credential, alsoPossible },
        { location: `/v1/leases/${leaseId}`, ...(replayed ? { 'idempotent-replayed': 'true' } : {}) },
      )
    },
  )
}

async function openWhenFree(
  { vaultKeys }: Parts,
  { actor, inAccount }: BreakGlassContext,
  request: Omit<BreakGlassRequest, 'open'>,
  first: KeyRing,
): Promise<BreakGlassUse> {
  let ring = first
  return whenFree(
    emergencyTries,
    () => inAccount(withUpgrade(ring, actor, (trx) => openBreakGlass(trx, { ...request, open: ring.openValue }))),
    async () => {
      // The value may be sealed under another key by now.
      ring = await fetchKeyRing(vaultKeys, await inAccount((trx) => readCheckoutFacts(trx, request.identityId, request.leaseId)))
    },
  )
}

/** Whoever reaches a limit is on record with it. */
async function limited<T>({ db }: Parts, { principal, actor, found }: BreakGlassContext, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    if (error instanceof LeaseholdError && error.code === 'break-glass-rate-limited')
      await recordDenial(db, { accountId: principal.accountId, userId: principal.userId, actor }, 'identity.break-glass', found, error.code)
    throw error
  }
}

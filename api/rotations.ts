import { v5 as uuidv5 } from 'uuid'
import { z } from 'zod'
import { scopeOf } from '#policy/scope.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { IdentityId, RotationId } from '#schemas/ids.ts'
import { pageOf } from '#schemas/page.ts'
import { ResolveBody, RotateBody, Rotation, RotationCredentials, RotationAnswer, RotationEvents, RotationItem, RotationQuery } from '#schemas/rotation.ts'
import { beginRotation } from '#store/begin-rotation.ts'
import type { Transaction } from '#store/connection.ts'
import { resolveRotation } from '#store/resolve-rotation.ts'
import { showCandidates, type Candidate } from '#store/rotation-candidates.ts'
import { readCheckoutFacts } from '#store/checkout-facts.ts'
import { listRotations, readRotationView } from '#store/rotation-view.ts'
import { mapPage, pageFrom } from './collection.ts'
import { fetchKeyRing, withUpgrade } from './key-ring.ts'
import type { Parts } from './parts.ts'
import { presentRotation } from './present-rotation.ts'
import { rotationEvents } from './rotation-events.ts'
import { reply, type DefineRoute, type FindRequest } from './route.ts'
import { readIdentityPlace } from '#store/identity-place.ts'

const params = z.object({ id: RotationId })

async function findRotation(trx: Transaction, { params: { id } }: Pick<FindRequest<{ id: RotationId }, unknown, unknown>, 'params'>) {
  const rotation = await readRotationView(trx, id)
  return rotation && { organizationId: rotation.organizationId, vaultId: rotation.vaultId, identityId: rotation.identityId, rotationId: id, rotation }
}

/** The same with what the values of its identity are opened with. */
async function findWithKeys(trx: Transaction, request: Pick<FindRequest<{ id: RotationId }, unknown, unknown>, 'params'>) {
  const found = await findRotation(trx, request)
  return found && { ...found, facts: await readCheckoutFacts(trx, found.identityId, null) }
}

export function rotationRoutes(route: DefineRoute, parts: Parts): void {
  route(
    {
      method: 'post',
      path: '/v1/identities/:id/rotate',
      action: 'identity.rotate',
      summary: 'Give the identity a new password',
      params: z.object({ id: IdentityId }),
      body: RotateBody,
      answers: { 202: RotationAnswer },
      refuses: ['identity-currently-checked-out', 'rotation-open', 'identity-has-no-hosts', 'credential-not-rotatable', 'organization-secret-not-found'],
      idempotent: true,
      find: (trx, request) => readIdentityPlace(trx, request.params.id),
    },
    async ({ principal, actor, params: { id }, body, idempotency, inAccount }) => {
      const rotationId = RotationId.parse(uuidv5(`rotation:${principal.userId}:${idempotency.key}`, principal.accountId))
      const rotation = await inAccount(async (trx) => {
        await beginRotation(trx, {
          identityId: id,
          trigger: 'manual',
          actor,
          requestedBy: principal.userId,
          rotationId,
          requestHash: idempotency.requestHash,
          ...(body.vaultOnly === undefined ? {} : { vaultOnly: body.vaultOnly }),
        })
        return readRotationView(trx, rotationId)
      })
      if (rotation === undefined) throw new LeaseholdError('internal')
      parts.wakeLoops()
      return reply(202, { rotation: presentRotation(rotation) }, { location: `/v1/rotations/${rotationId}` })
    },
  )

  route(
    {
      method: 'post',
      path: '/v1/rotations/:id/resolve',
      action: 'rotation.resolve',
      summary: 'Say what became of a rotation that needs attention',
      params,
      body: ResolveBody,
      answers: { 200: RotationAnswer },
      refuses: ['nothing-to-resolve', 'identity-rotating', 'organization-secret-not-found'],
      find: findWithKeys,
    },
    async ({ actor, params: { id: rotationId }, body: { outcome, hostId = null, reason }, found, inAccount }) => {
      const ring = await fetchKeyRing(parts.vaultKeys, found.facts)
      const sealed = ring.sealReason(found.identityId, reason)
      const rotation = await inAccount(async (trx) => {
        await resolveRotation(trx, { rotationId, hostId, outcome, actor, reason: sealed })
        return readRotationView(trx, rotationId)
      })
      if (rotation === undefined) throw new LeaseholdError('internal')
      parts.wakeLoops()
      return reply(200, { rotation: presentRotation(rotation) })
    },
  )

  route(
    {
      method: 'post',
      path: '/v1/rotations/:id/credentials',
      action: 'rotation.read-credentials',
      summary: 'Show every value that may be the one that works, while a rotation needs attention',
      params,
      body: z.strictObject({}),
      answers: { 200: RotationCredentials },
      refuses: ['nothing-to-resolve', 'inject-only', 'organization-secret-not-found', 'decryption-failed'],
      find: findWithKeys,
    },
    async ({ principal, actor, params: { id: rotationId }, found, inAccount }) => {
      const ring = await fetchKeyRing(parts.vaultKeys, found.facts)
      const { username, current, staged } = await inAccount(
        withUpgrade(ring, actor, (trx) => showCandidates(trx, { rotationId, principal, actor, open: ring.openValue })),
      )
      const shown = ({ version, value }: Candidate) => ({ version, value: value.expose() })
      return reply(200, { username, current: current.map(shown), staged: shown(staged) })
    },
  )

  route(
    {
      method: 'get',
      path: '/v1/rotations',
      action: 'rotation.list',
      summary: 'Rotations, newest first',
      query: RotationQuery,
      answers: { 200: pageOf(Rotation) },
    },
    async ({ principal, query, inAccount }) => {
      const { identityId, identityGroupId, state, needsAttention, stuck } = query
      const filter = { identityId, vaultId: identityGroupId, state, needsAttention, stuck }
      return reply(200, mapPage(await inAccount((trx) => listRotations(trx, scopeOf(principal, 'rotation.list'), filter, pageFrom(query))), presentRotation))
    },
  )

  route(
    {
      method: 'get',
      path: '/v1/rotations/:id',
      action: 'rotation.read',
      summary: 'One rotation with its hosts',
      params,
      answers: { 200: RotationItem },
      find: findRotation,
    },
    ({ found }) => {
      const rotation = presentRotation(found.rotation)
      return reply(200, { ...rotation, rotation })
    },
  )

  route(
    {
      method: 'get',
      path: '/v1/rotations/:id/events',
      action: 'rotation.read',
      confirms: true,
      summary: 'Follow a rotation until it is final',
      params,
      answers: { 200: RotationEvents },
      find: findRotation,
    },
    ({ params: { id }, request, token, inAccount }) =>
      rotationEvents({
        read: async () => {
          const rotation = await inAccount((trx) => readRotationView(trx, id))
          return rotation && presentRotation(rotation)
        },
        until: token.expiresAt,
        signal: AbortSignal.any([request.signal, parts.stopping]),
      }),
  )
}

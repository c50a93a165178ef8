import { v5 as uuidv5 } from 'uuid'
import { z } from 'zod'
import { scopeOf } from '#policy/scope.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { IdentityId, RotationId } from '#schemas/ids.ts'
import { pageOf } from '#schemas/page.ts'
import { RotateBody, Rotation, RotationAnswer, RotationEvents, RotationItem, RotationQuery } from '#schemas/rotation.ts'
import { beginRotation } from '#store/begin-rotation.ts'
import type { Transaction } from '#store/connection.ts'
import { listRotations, readRotationView, type RotationView } from '#store/rotation-view.ts'
import { mapPage, pageFrom } from './collection.ts'
import type { Parts } from './parts.ts'
import { rotationEvents } from './rotation-events.ts'
import { reply, type DefineRoute, type FindRequest } from './route.ts'
import { readIdentityPlace } from '#store/identity-place.ts'

const params = z.object({ id: RotationId })

const presentRotation = ({ vaultId, ...rotation }: RotationView): Rotation => ({ ...rotation, identityGroupId: vaultId }) as Rotation

async function findRotation(trx: Transaction, { params: { id } }: Pick<FindRequest<{ id: RotationId }, unknown, unknown>, 'params'>) {
  const rotation = await readRotationView(trx, id)
  return rotation && { organizationId: rotation.organizationId, vaultId: rotation.vaultId, identityId: rotation.identityId, rotationId: id, rotation }
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
      method: 'get',
      path: '/v1/rotations',
      action: 'rotation.list',
      summary: 'Rotations, newest first',
      query: RotationQuery,
      answers: { 200: pageOf(Rotation) },
    },
    async ({ principal, query, inAccount }) => {
      const { identityId, identityGroupId, state, needsAttention } = query
      const filter = { identityId, vaultId: identityGroupId, state, needsAttention }
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

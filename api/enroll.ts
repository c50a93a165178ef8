import { v7 as uuidv7 } from 'uuid'
import { z } from 'zod'
import { EnrollBody } from '#schemas/host.ts'
import { HostId, IdentityId } from '#schemas/ids.ts'
import { Rotation } from '#schemas/rotation.ts'
import { Secret } from '#schemas/secret.ts'
import { enrollAccount } from '#store/enroll-account.ts'
import { readHost } from '#store/host.ts'
import { readEnrollment } from '#store/rotation-view.ts'
import { createOnce } from './create-once.ts'
import type { Parts } from './parts.ts'
import { presentRotation } from './present-rotation.ts'
import { reply, type DefineRoute } from './route.ts'
import { sealerFor } from './seal-credential.ts'

/** Accounts that hosts have already come into a vault (S2 "One-click PAM enrollment"). */
export function enrollRoutes(route: DefineRoute, parts: Parts): void {
  route(
    {
      method: 'post',
      path: '/v1/hosts/:id/enroll',
      action: 'host.enroll',
      confirms: true,
      summary: 'Take an account of a host into a vault, under a new password',
      params: z.object({ id: HostId }),
      body: EnrollBody,
      answers: { 202: z.strictObject({ identity: z.strictObject({ id: IdentityId }), rotation: Rotation }) },
      refuses: ['host-offline', 'already-exists', 'organization-secret-not-found'],
      idempotent: true,
      find: async (trx, { params: { id } }) => ({ organizationId: (await readHost(trx, id)).organizationId, hostId: id }),
    },
    async (context) => {
      const {
        params: { id: hostId },
        principal,
        actor,
        body,
        inAccount,
      } = context
      const id = IdentityId.parse(uuidv7())
      const place = { identityId: id, vaultId: body.identityGroupId, credentialType: 'password' } as const
      const seal = await sealerFor(parts, context, place, Secret.of(uuidv7()))
      const identityId = IdentityId.parse(
        await createOnce(context, {
          id,
          make: async (trx, made) => {
            await enrollAccount(trx, { hostId, identityId: IdentityId.parse(made), requestedBy: principal.userId, actor, unknown: seal(1) }, body)
            return made
          },
          read: async (_, made) => made,
        }),
      )
      const rotation = presentRotation(await inAccount((trx) => readEnrollment(trx, identityId)))
      parts.wakeLoops()
      return reply(202, { identity: { id: identityId }, rotation }, { location: `/v1/rotations/${rotation.id}` })
    },
  )
}

import { z } from 'zod'
import { CheckAnswer } from '#schemas/check.ts'
import { IdentityId } from '#schemas/ids.ts'
import { beginCheck } from '#store/begin-check.ts'
import { readCheckView } from '#store/check-view.ts'
import { readIdentityPlace } from '#store/identity-place.ts'
import { createOnce } from './create-once.ts'
import type { Parts } from './parts.ts'
import { reply, type DefineRoute } from './route.ts'

const params = z.object({ id: IdentityId })

/** Whether what is vaulted logs in: asked for now, and what came out the last time. */
export function checkRoutes(route: DefineRoute, parts: Parts): void {
  route(
    {
      method: 'post',
      path: '/v1/identities/:id/check',
      action: 'identity.check',
      summary: 'Log in once at each host with the stored value, and change nothing',
      params,
      body: z.strictObject({}),
      answers: { 202: CheckAnswer },
      refuses: ['rotation-open', 'identity-has-no-hosts', 'credential-not-rotatable'],
      idempotent: true,
      find: (trx, request) => readIdentityPlace(trx, request.params.id),
    },
    async (context) => {
      const {
        principal,
        actor,
        params: { id: identityId },
      } = context
      const check = await createOnce(context, {
        id: identityId,
        make: async (trx) => {
          await beginCheck(trx, { identityId, actor, requestedBy: principal.userId })
          return readCheckView(trx, identityId)
        },
        read: (trx) => readCheckView(trx, identityId),
      })
      parts.wakeLoops()
      return reply(202, { check }, { location: `/v1/identities/${identityId}/check` })
    },
  )

  route(
    {
      method: 'get',
      path: '/v1/identities/:id/check',
      action: 'identity.read',
      summary: 'The last check of each host of an identity',
      params,
      answers: { 200: CheckAnswer },
      find: (trx, request) => readIdentityPlace(trx, request.params.id),
    },
    async ({ params: { id }, inAccount }) => reply(200, { check: await inAccount((trx) => readCheckView(trx, id)) }),
  )
}

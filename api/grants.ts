import { z } from 'zod'
import { CreateGrant, Grant } from '#schemas/grant.ts'
import { Uuid, VaultId } from '#schemas/ids.ts'
import { PageQuery, pageOf } from '#schemas/page.ts'
import { createGrant, listGrants, readGrant, revokeGrant } from '#store/grant.ts'
import { pageFrom } from './collection.ts'
import { createOnce } from './create-once.ts'
import { findVault } from './identity-groups.ts'
import type { Parts } from './parts.ts'
import { reviewAccess } from './review-access.ts'
import { reply, type DefineRoute } from './route.ts'

const params = z.object({ id: VaultId })
const itemParams = z.object({ id: VaultId, grantId: Uuid })

/** Access to one vault for users and groups of the identity provider (S2 "Granting vault access"). */
export function grantRoutes(route: DefineRoute, { wakeLoops }: Parts): void {
  route(
    {
      method: 'post',
      path: '/v1/identity-groups/:id/grants',
      action: 'grant.create',
      confirms: true,
      summary: 'Give a user or group access to a vault',
      params,
      body: CreateGrant,
      answers: { 201: Grant },
      refuses: ['already-exists'],
      idempotent: true,
      find: findVault,
    },
    async (context) => {
      const {
        params: { id: vaultId },
        principal,
        actor,
      } = context
      const grant = await createOnce(context, {
        make: (trx, id) => createGrant(trx, { id, vaultId, principal, actor }, context.body),
        read: (trx, id) => readGrant(trx, vaultId, id),
      })
      return reply(201, grant, { location: `/v1/identity-groups/${vaultId}/grants/${grant.id}` })
    },
  )
  route(
    {
      method: 'get',
      path: '/v1/identity-groups/:id/grants',
      action: 'grant.list',
      summary: 'List who has access to a vault',
      params,
      query: PageQuery,
      answers: { 200: pageOf(Grant) },
      find: findVault,
    },
    async ({ params: { id }, query, inAccount }) => reply(200, await inAccount((trx) => listGrants(trx, id, pageFrom(query)))),
  )
  route(
    {
      method: 'get',
      path: '/v1/identity-groups/:id/grants/:grantId',
      action: 'grant.list',
      summary: 'Read a grant, revoked ones too',
      params: itemParams,
      answers: { 200: Grant },
      find: async (trx, request) => ({ ...(await findVault(trx, request)), grant: await readGrant(trx, request.params.id, request.params.grantId) }),
    },
    ({ found }) => reply(200, found.grant),
  )
  route(
    {
      method: 'delete',
      path: '/v1/identity-groups/:id/grants/:grantId',
      action: 'grant.revoke',
      params: itemParams,
      answers: { 204: null },
      summary: 'Revoke a grant and end the leases that rest on it alone',
      find: async (trx, request) => ({ ...(await findVault(trx, request)), grant: await readGrant(trx, request.params.id, request.params.grantId) }),
    },
    async ({ params: { id: vaultId, grantId }, actor, inAccount }) => {
      await inAccount((trx) => revokeGrant(trx, vaultId, grantId, actor))
      // crash point: grant revoked
      await reviewAccess(inAccount, [{ vaultId }], actor)
      wakeLoops()
      return reply(204, null)
    },
  )
}

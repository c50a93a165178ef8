import { z } from 'zod'
import { Uuid } from '#schemas/ids.ts'
import { ChangeIdpUser, CreateIdpUser, IdpUser } from '#schemas/directory.ts'
import { PageQuery, pageOf } from '#schemas/page.ts'
import type { Transaction } from '#store/connection.ts'
import { changeIdpUser, createIdpUser, listIdpUsers, readIdpUser } from '#store/idp-user.ts'
import { pageFrom } from './collection.ts'
import { createOnce } from './create-once.ts'
import { etag, ifMatch } from './etag.ts'
import type { Parts } from './parts.ts'
import { reviewAccess } from './review-access.ts'
import { reply, type DefineRoute } from './route.ts'

const params = z.object({ id: Uuid })
const find = async (trx: Transaction, { params: { id } }: { readonly params: z.infer<typeof params> }) => ({ idpUser: await readIdpUser(trx, id) })

/** Directory records of people: what vault access is granted to (S2 "No IDP user mapping"). */
export function idpUserRoutes(route: DefineRoute, { wakeLoops }: Parts): void {
  route(
    {
      method: 'post',
      path: '/v1/idp-users',
      action: 'idp-user.create',
      confirms: true,
      summary: 'Create a directory record; the first login with this verified email is linked to it',
      body: CreateIdpUser,
      answers: { 201: IdpUser },
      versioned: true,
      refuses: ['already-exists'],
      idempotent: true,
    },
    async (context) => {
      const idpUser = await createOnce(context, {
        make: (trx, id) => createIdpUser(trx, id, context.body, context.actor),
        read: readIdpUser,
      })
      return reply(201, idpUser, { ...etag(idpUser), location: `/v1/idp-users/${idpUser.id}` })
    },
  )
  route(
    { method: 'get', path: '/v1/idp-users', action: 'directory.list', summary: 'List directory records', query: PageQuery, answers: { 200: pageOf(IdpUser) } },
    async ({ query, inAccount }) => reply(200, await inAccount((trx) => listIdpUsers(trx, pageFrom(query)))),
  )
  route(
    {
      method: 'get',
      path: '/v1/idp-users/:id',
      action: 'directory.read',
      summary: 'Read a directory record',
      params,
      answers: { 200: IdpUser },
      versioned: true,
      find,
    },
    ({ found }) => reply(200, found.idpUser, etag(found.idpUser)),
  )
  route(
    {
      method: 'patch',
      path: '/v1/idp-users/:id',
      action: 'idp-user.update',
      summary: 'Rename a directory record, or disable it: what was granted to it no longer counts',
      params,
      body: ChangeIdpUser,
      answers: { 200: IdpUser },
      versioned: true,
      refuses: ['last-owner'],
      find,
    },
    async ({ params: { id }, body, principal: caller, actor, request, inAccount }) => {
      const { idpUser, review } = await inAccount((trx) => changeIdpUser(trx, { id, caller, actor, expectedVersion: ifMatch(request) }, body))
      await reviewAccess(inAccount, review, actor)
      wakeLoops()
      return reply(200, idpUser, etag(idpUser))
    },
  )
}

import { z } from 'zod'
import { UserId } from '#schemas/ids.ts'
import { PageQuery, pageOf } from '#schemas/page.ts'
import { ChangeUser, CreateUser, User } from '#schemas/user.ts'
import type { Transaction } from '#store/connection.ts'
import { changeUser, createUser, listUsers, readUser } from '#store/user.ts'
import { pageFrom } from './collection.ts'
import { createOnce } from './create-once.ts'
import { etag, ifMatch } from './etag.ts'
import type { Parts } from './parts.ts'
import { reviewAccess } from './review-access.ts'
import { reply, type DefineRoute } from './route.ts'

const params = z.object({ id: UserId })
const find = async (trx: Transaction, { params: { id } }: { readonly params: z.infer<typeof params> }) => ({ user: await readUser(trx, id) })

/** People and clients who can log in, known by the identity provider’s `sub`. */
export function userRoutes(route: DefineRoute, { config, wakeLoops }: Parts): void {
  route(
    {
      method: 'post',
      path: '/v1/users',
      action: 'user.create',
      confirms: true,
      summary: 'Let in a person or client before their first login, by sub',
      body: CreateUser,
      answers: { 201: User },
      versioned: true,
      refuses: ['already-exists'],
      idempotent: true,
    },
    async (context) => {
      const user = await createOnce(context, {
        make: (trx, id) => createUser(trx, { id: UserId.parse(id), iss: config.oidcIssuer }, context.body, context.actor),
        read: (trx, id) => readUser(trx, UserId.parse(id)),
      })
      return reply(201, user, { ...etag(user), location: `/v1/users/${user.id}` })
    },
  )
  route(
    { method: 'get', path: '/v1/users', action: 'user.list', summary: 'List users', query: PageQuery, answers: { 200: pageOf(User) } },
    async ({ query, inAccount }) => reply(200, await inAccount((trx) => listUsers(trx, pageFrom(query)))),
  )
  route(
    { method: 'get', path: '/v1/users/:id', action: 'user.read', summary: 'Read a user', params, answers: { 200: User }, versioned: true, find },
    ({ found }) => reply(200, found.user, etag(found.user)),
  )
  route(
    {
      method: 'patch',
      path: '/v1/users/:id',
      action: 'user.update',
      summary: 'Disable a user and end their leases, or let them in again',
      params,
      body: ChangeUser,
      answers: { 200: User },
      refuses: ['last-owner'],
      versioned: true,
      find,
    },
    async ({ params: { id }, body, principal: caller, actor, request, inAccount }) => {
      const user = await inAccount((trx) => changeUser(trx, { id, caller, actor, expectedVersion: ifMatch(request) }, body))
      if (user.state === 'disabled') await reviewAccess(inAccount, [{ userId: id }], actor)
      wakeLoops()
      return reply(200, user, etag(user))
    },
  )
}

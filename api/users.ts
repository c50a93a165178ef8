import { z } from 'zod'
import { UserId } from '#schemas/ids.ts'
import { PageQuery, pageOf } from '#schemas/page.ts'
import { ChangeUser, User } from '#schemas/user.ts'
import { reviewLeases } from '#store/access-review.ts'
import type { Transaction } from '#store/connection.ts'
import { changeUser, listUsers, readUser } from '#store/user.ts'
import { pageFrom } from './collection.ts'
import { etag, ifMatch } from './etag.ts'
import type { Parts } from './parts.ts'
import { reply, type DefineRoute } from './route.ts'

const params = z.object({ id: UserId })
const find = async (trx: Transaction, { params: { id } }: { readonly params: z.infer<typeof params> }) => ({ user: await readUser(trx, id) })

/** People and clients who can log in. They come from the identity provider; here they are shut out and let in again. */
export function userRoutes(route: DefineRoute, { wakeLoops }: Parts): void {
  route(
    { method: 'get', path: '/v1/users', action: 'user.list', summary: 'List users', query: PageQuery, answers: { 200: pageOf(User) } },
    async ({ query, inAccount }) => reply(200, await inAccount((trx) => listUsers(trx, pageFrom(query)))),
  )
  route(
    { method: 'get', path: '/v1/users/:id', action: 'user.list', summary: 'Read a user', params, answers: { 200: User }, versioned: true, find },
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
    async ({ params: { id }, body, actor, request, inAccount }) => {
      const user = await inAccount((trx) => changeUser(trx, id, body, actor, ifMatch(request)))
      if (user.state === 'disabled') await reviewLeases(inAccount, { userId: id }, actor)
      wakeLoops()
      return reply(200, user, etag(user))
    },
  )
}

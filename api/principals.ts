import { PrincipalEntry } from '#schemas/grant.ts'
import { PageQuery, pageOf } from '#schemas/page.ts'
import { text } from '#schemas/text.ts'
import { searchPrincipals } from '#store/idp.ts'
import { pageFrom } from './collection.ts'
import { reply, type DefineRoute } from './route.ts'

const query = PageQuery.extend({ q: text(0, 200).default('').meta({ description: 'Part of a name or email' }) })

/** Whom vault access can be given to (S2 "Search for a user or group"). */
export function principalRoutes(route: DefineRoute): void {
  route(
    {
      method: 'get',
      path: '/v1/principals',
      action: 'principal.search',
      summary: 'Search users and groups of the identity provider',
      query,
      answers: { 200: pageOf(PrincipalEntry) },
    },
    async ({ query: { q, ...page }, inAccount }) => reply(200, await inAccount((trx) => searchPrincipals(trx, q, pageFrom(page)))),
  )
}

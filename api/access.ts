import { z } from 'zod'
import { decide } from '#policy/decide.ts'
import { rules, type Action, type Rule } from '#policy/rules.ts'
import { scopeOf } from '#policy/scope.ts'
import { OwnAccess, UserAccess } from '#schemas/access.ts'
import { VaultId } from '#schemas/ids.ts'
import { PageQuery, pageOf } from '#schemas/page.ts'
import type { Principal } from '#schemas/principal.ts'
import { listHolders, readPaths } from '#store/access-report.ts'
import { readPrincipal, type VaultPlace } from '#store/principal.ts'
import { listVaults } from '#store/vault.ts'
import { mapPage, pageFrom } from './collection.ts'
import { findVault } from './identity-groups.ts'
import { reply, type DefineRoute } from './route.ts'

/** Actions that are done to a vault or to what lies in it. */
const vaultActions = (Object.keys(rules) as Action[]).filter(
  (action) => /^(vault|identity|grant)\./.test(action) && (rules[action] as Rule).collection !== true,
)

const actionsOf = (principal: Principal, place: VaultPlace): Action[] => vaultActions.filter((action) => decide(principal, action, place).permit)

/** Who can do what in a vault, and through what: by the same rules that decide. */
export function accessRoutes(route: DefineRoute): void {
  route(
    {
      method: 'get',
      path: '/v1/identity-groups/:id/access',
      action: 'grant.list',
      summary: 'Who can do what in a vault, and through what',
      params: z.object({ id: VaultId }),
      query: PageQuery,
      answers: { 200: pageOf(UserAccess) },
      find: findVault,
    },
    async ({ found: { organizationId, vaultId }, query, inAccount }) => {
      const place = { organizationId, vaultId }
      const page = await inAccount(async (trx) => {
        const holders = await listHolders(trx, place, pageFrom(query))
        const ids = holders.items.map(({ id }) => id)
        const [through, ...principals] = await Promise.all([readPaths(trx, ids, [place]), ...ids.map((id) => readPrincipal(trx, id))])
        return mapPage(holders, (user) => {
          const principal = principals.find((one) => one?.userId === user.id)
          return { user, actions: principal === undefined ? [] : actionsOf(principal, place), through: through(user.id, place) }
        })
      })
      return reply(200, page)
    },
  )
  route(
    {
      method: 'get',
      path: '/v1/me/access',
      action: 'me.read',
      summary: 'What the caller can do in which vault, and through what',
      query: PageQuery,
      answers: { 200: pageOf(OwnAccess) },
    },
    async ({ principal, query, inAccount }) => {
      const page = await inAccount(async (trx) => {
        const vaults = await listVaults(trx, scopeOf(principal, 'vault.list'), null, pageFrom(query))
        const places = vaults.items.map(({ id, organizationId }) => ({ vaultId: id, organizationId }))
        const through = await readPaths(trx, [principal.userId], places)
        return mapPage(vaults, ({ id, name, organizationId }) => {
          const place = { vaultId: id, organizationId }
          return { identityGroup: { id, name }, actions: actionsOf(principal, place), through: through(principal.userId, place) }
        })
      })
      return reply(200, page)
    },
  )
}

import { Me } from '#schemas/me.ts'
import { permissions } from '#schemas/principal.ts'
import { readAccountName } from '#store/account.ts'
import { reply, type DefineRoute } from './route.ts'

export function meRoutes(route: DefineRoute): void {
  route(
    {
      method: 'get',
      path: '/v1/me',
      action: 'me.read',
      summary: 'The caller, with permissions and grants',
      answers: { 200: Me },
      find: async (trx) => ({ accountName: await readAccountName(trx) }),
    },
    ({ principal, found }) => {
      const { userId, name, email, iss, sub, idpUserId, owner } = principal
      return reply(200, {
        user: { id: userId, name, email, iss, sub, idpUserId },
        account: { id: principal.accountId, name: found.accountName },
        owner,
        permissions: owner ? permissions : [...new Set(principal.permissions.map((held) => held.name))],
        roles: principal.permissions.map((held) => ({ permission: held.name, organizationId: held.organizationId })),
        grants: principal.grants.map(({ id, vaultId, level, endsAt }) => ({ id, identityGroupId: vaultId, level, expiresAt: endsAt?.toISOString() ?? null })),
      })
    },
  )
}

import { z } from 'zod'
import { scopeOf } from '#policy/scope.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { ChangeHost, CreateHost, Host } from '#schemas/host.ts'
import { HostId, OrganizationId, type IdentityId } from '#schemas/ids.ts'
import type { Principal } from '#schemas/principal.ts'
import { PageQuery, pageOf } from '#schemas/page.ts'
import { changeHost, createHost, deleteHost } from '#store/change-host.ts'
import { readCheckoutFacts } from '#store/checkout-facts.ts'
import type { Transaction } from '#store/connection.ts'
import { listHosts, readHost } from '#store/host.ts'
import { readIdentityPlace } from '#store/identity-place.ts'
import { merged } from '#store/merged.ts'
import { readOrganization } from '#store/organization.ts'
import { confirmVaultAccess, readPrincipal } from '#store/principal.ts'
import { pageFrom } from './collection.ts'
import { createOnce } from './create-once.ts'
import { etag, ifMatch } from './etag.ts'
import type { Parts } from './parts.ts'
import { reply, type DefineRoute } from './route.ts'

const params = z.object({ id: HostId })

async function find(trx: Transaction, { params: { id } }: { readonly params: z.infer<typeof params> }) {
  const host = await readHost(trx, id)
  return { organizationId: host.organizationId, hostId: id, host }
}

/**
 * A host is told the value of its admin identity: nobody gives it one that they may not have themselves, nor leads it elsewhere. Where
 * others must agree to that, only an owner does.
 *
 * @throws LeaseholdError `forbidden`, `approval-required`; what does not exist is for `checkReferences` to tell
 */
async function confirmAdmin(trx: Transaction, principal: Principal, adminIdentityId: IdentityId | null): Promise<void> {
  const place = adminIdentityId === null ? undefined : await readIdentityPlace(trx, adminIdentityId)
  if (adminIdentityId === null || place === undefined) return
  await confirmVaultAccess(trx, principal, place, 'view_credentials')
  const { approvalRequired } = await readCheckoutFacts(trx, adminIdentityId, null)
  if (approvalRequired && (await readPrincipal(trx, principal.userId))?.owner !== true) throw new LeaseholdError('approval-required')
}

/** Whether the value of an admin identity goes to somebody else after the change, or another value goes there. */
const isLedElsewhere = (host: Host, change: ChangeHost): boolean =>
  (['adminIdentityId', 'address', 'port', 'connectorId', 'parameters'] as const).some(
    (field) => change[field] !== undefined && JSON.stringify(change[field]) !== JSON.stringify(host[field]),
  )

/** Target machines and databases, each reached through one connector. */
export function hostRoutes(route: DefineRoute, { wakeLoops }: Parts): void {
  route(
    {
      method: 'post',
      path: '/v1/hosts',
      action: 'host.create',
      confirms: true,
      summary: 'Add a host',
      body: CreateHost,
      answers: { 201: Host },
      refuses: ['already-exists', 'approval-required'],
      versioned: true,
      idempotent: true,
      find: async (trx, { body }) => ({ organizationId: (await readOrganization(trx, body.organizationId)).id }),
    },
    async (context) => {
      const host = await createOnce(context, {
        make: async (trx, id) => {
          await confirmAdmin(trx, context.principal, context.body.adminIdentityId ?? null)
          return createHost(trx, HostId.parse(id), context.body, context.actor)
        },
        read: (trx, id) => readHost(trx, HostId.parse(id)),
      })
      return reply(201, host, { ...etag(host), location: `/v1/hosts/${host.id}` })
    },
  )
  route(
    {
      method: 'get',
      path: '/v1/hosts',
      action: 'host.list',
      summary: 'List hosts',
      query: PageQuery.extend({ organizationId: OrganizationId.optional() }),
      answers: { 200: pageOf(Host) },
    },
    async ({ principal, query, inAccount }) =>
      reply(200, await inAccount((trx) => listHosts(trx, scopeOf(principal, 'host.list'), query.organizationId ?? null, pageFrom(query)))),
  )
  route(
    { method: 'get', path: '/v1/hosts/:id', action: 'host.read', summary: 'Read a host', params, answers: { 200: Host }, versioned: true, find },
    ({ found }) => reply(200, found.host, etag(found.host)),
  )
  route(
    {
      method: 'patch',
      path: '/v1/hosts/:id',
      action: 'host.update',
      confirms: true,
      summary: 'Change a host',
      params,
      body: ChangeHost,
      answers: { 200: Host },
      refuses: ['already-exists', 'identity-rotating', 'approval-required'],
      versioned: true,
      find,
    },
    async ({ params: { id }, body, found, principal, actor, request, inAccount }) => {
      const host = await inAccount(async (trx) => {
        if (isLedElsewhere(found.host, body)) await confirmAdmin(trx, principal, merged(found.host, body).adminIdentityId)
        return changeHost(trx, id, body, actor, ifMatch(request))
      })
      wakeLoops()
      return reply(200, host, etag(host))
    },
  )
  route(
    {
      method: 'delete',
      path: '/v1/hosts/:id',
      action: 'host.delete',
      summary: 'Delete a host that no identity names',
      params,
      answers: { 204: null },
      refuses: ['in-use', 'rotation-open'],
      versioned: true,
      find,
    },
    async ({ params: { id }, actor, request, inAccount }) => {
      await inAccount((trx) => deleteHost(trx, id, actor, ifMatch(request)))
      return reply(204, null)
    },
  )
}

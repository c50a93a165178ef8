import { z } from 'zod'
import { scopeOf } from '#policy/scope.ts'
import { OrganizationId } from '#schemas/ids.ts'
import { ChangeOrganization, CreateOrganization, Organization, OrganizationSecret } from '#schemas/organization.ts'
import { PageQuery, pageOf } from '#schemas/page.ts'
import type { Transaction } from '#store/connection.ts'
import { nextSecretVersion, readOrganizationSecret, recordOrganizationSecret } from '#store/organization-secret.ts'
import { changeOrganization, createOrganization, listOrganizations, readOrganization } from '#store/organization.ts'
import { pageFrom } from './collection.ts'
import { createOnce } from './create-once.ts'
import { etag, ifMatch } from './etag.ts'
import type { Parts } from './parts.ts'
import { reply, type DefineRoute, type RouteContext } from './route.ts'

const params = z.object({ id: OrganizationId })
type Params = z.infer<typeof params>

const find = async (trx: Transaction, { params: { id } }: { readonly params: Params }) => ({
  organizationId: id,
  organization: await readOrganization(trx, id),
})

/** Organizations of an account (S2: vaults are organization-scoped). */
export function organizationRoutes(route: DefineRoute): void {
  route(
    {
      method: 'post',
      path: '/v1/organizations',
      action: 'organization.create',
      confirms: true,
      summary: 'Create an organization',
      body: CreateOrganization,
      answers: { 201: Organization },
      refuses: ['already-exists'],
      versioned: true,
      idempotent: true,
    },
    async (context) => {
      const organization = await createOnce(context, {
        make: (trx, id) => createOrganization(trx, OrganizationId.parse(id), context.body, context.actor),
        read: (trx, id) => readOrganization(trx, OrganizationId.parse(id)),
      })
      return reply(201, organization, { ...etag(organization), location: `/v1/organizations/${organization.id}` })
    },
  )
  route(
    {
      method: 'get',
      path: '/v1/organizations',
      action: 'organization.list',
      summary: 'List organizations',
      query: PageQuery,
      answers: { 200: pageOf(Organization) },
    },
    async ({ principal, query, inAccount }) =>
      reply(200, await inAccount((trx) => listOrganizations(trx, scopeOf(principal, 'organization.list'), pageFrom(query)))),
  )
  route(
    {
      method: 'get',
      path: '/v1/organizations/:id',
      action: 'organization.read',
      summary: 'Read an organization',
      params,
      answers: { 200: Organization },
      versioned: true,
      find,
    },
    ({ found }) => reply(200, found.organization, etag(found.organization)),
  )
  route(
    {
      method: 'patch',
      path: '/v1/organizations/:id',
      action: 'organization.update',
      confirms: true,
      summary: 'Change an organization',
      params,
      body: ChangeOrganization,
      answers: { 200: Organization },
      refuses: ['already-exists'],
      versioned: true,
      find,
    },
    async ({ params: { id }, body, actor, request, inAccount }) => {
      const organization = await inAccount((trx) => changeOrganization(trx, id, body, actor, ifMatch(request)))
      return reply(200, organization, etag(organization))
    },
  )
}

/** The secret that all keys of an organization are derived from; it is made and kept in OpenBao and never answered. */
export function organizationSecretRoutes(route: DefineRoute, parts: Parts): void {
  const body = z.strictObject({})
  route(
    {
      method: 'get',
      path: '/v1/organizations/:id/secret',
      action: 'organization.read',
      summary: 'Read the versions of the organization secret',
      params,
      answers: { 200: OrganizationSecret },
      find,
    },
    async ({ params: { id }, inAccount }) => reply(200, await inAccount((trx) => readOrganizationSecret(trx, id))),
  )
  route(
    {
      method: 'put',
      path: '/v1/organizations/:id/secret',
      action: 'organization.set-secret',
      confirms: true,
      summary: 'Generate the organization secret, once',
      params,
      body,
      answers: { 204: null },
      refuses: ['organization-secret-exists', 'stale-state'],
      find,
    },
    async (context) => {
      await addVersion(parts, context, true)
      return reply(204, null)
    },
  )
  route(
    {
      method: 'post',
      path: '/v1/organizations/:id/secret/rotate',
      action: 'organization.rotate-secret',
      confirms: true,
      params,
      body,
      answers: { 202: OrganizationSecret },
      refuses: ['organization-secret-not-found', 'reencryption-running', 'stale-state'],
      find,
      summary: 'Generate a new version of the organization secret; what is stored is sealed under it in the background',
    },
    async (context) => {
      await addVersion(parts, context, false)
      parts.wakeLoops()
      const { id } = context.params
      return reply(202, await context.inAccount((trx) => readOrganizationSecret(trx, id)), { location: `/v1/organizations/${id}/secret` })
    },
  )
}

/** OpenBao first: a version that PostgreSQL names is always there. One that it never came to name is found again by the next attempt. */
async function addVersion(
  { organizationSecrets }: Parts,
  { principal, params: { id }, actor, inAccount }: RouteContext<Params, Record<string, never>, object, unknown>,
  first: boolean,
): Promise<void> {
  const version = await inAccount((trx) => nextSecretVersion(trx, id, first))
  await organizationSecrets.create(principal.accountId, id, version)
  await inAccount((trx) => recordOrganizationSecret(trx, id, version, actor))
}

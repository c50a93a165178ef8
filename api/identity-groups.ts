import { z } from 'zod'
import { scopeOf } from '#policy/scope.ts'
import { OrganizationId, VaultId } from '#schemas/ids.ts'
import { PageQuery, pageOf } from '#schemas/page.ts'
import { ChangeVault, CreateVault, Vault } from '#schemas/vault.ts'
import type { Transaction } from '#store/connection.ts'
import { readOrganization } from '#store/organization.ts'
import { changeVault, createVault, deleteVault, listVaults, readVault } from '#store/vault.ts'
import { pageFrom } from './collection.ts'
import { createOnce } from './create-once.ts'
import { etag, ifMatch } from './etag.ts'
import { reply, type DefineRoute } from './route.ts'

const params = z.object({ id: VaultId })

/** What an action on the vault of the path is decided on. */
export async function findVault(trx: Transaction, { params: { id } }: { readonly params: z.infer<typeof params> }) {
  const vault = await readVault(trx, id)
  return { organizationId: vault.organizationId, vaultId: id, vault }
}

/** Vaults, called identity groups here (S2 "Creating vaults"). */
export function identityGroupRoutes(route: DefineRoute): void {
  route(
    {
      method: 'post',
      path: '/v1/identity-groups',
      action: 'vault.create',
      confirms: true,
      summary: 'Create a vault',
      body: CreateVault,
      answers: { 201: Vault },
      refuses: ['already-exists'],
      versioned: true,
      idempotent: true,
      find: async (trx, { body }) => ({ organizationId: (await readOrganization(trx, body.organizationId)).id }),
    },
    async (context) => {
      const vault = await createOnce(context, {
        make: (trx, id) => createVault(trx, VaultId.parse(id), context.body, context.actor),
        read: (trx, id) => readVault(trx, VaultId.parse(id)),
      })
      return reply(201, vault, { ...etag(vault), location: `/v1/identity-groups/${vault.id}` })
    },
  )
  route(
    {
      method: 'get',
      path: '/v1/identity-groups',
      action: 'vault.list',
      summary: 'List vaults',
      query: PageQuery.extend({ organizationId: OrganizationId.optional() }),
      answers: { 200: pageOf(Vault) },
    },
    async ({ principal, query, inAccount }) =>
      reply(200, await inAccount((trx) => listVaults(trx, scopeOf(principal, 'vault.list'), query.organizationId ?? null, pageFrom(query)))),
  )
  route(
    {
      method: 'get',
      path: '/v1/identity-groups/:id',
      action: 'vault.read',
      summary: 'Read a vault',
      params,
      answers: { 200: Vault },
      versioned: true,
      find: findVault,
    },
    ({ found }) => reply(200, found.vault, etag(found.vault)),
  )
  route(
    {
      method: 'patch',
      path: '/v1/identity-groups/:id',
      action: 'vault.update',
      summary: 'Change a vault',
      params,
      body: ChangeVault,
      answers: { 200: Vault },
      refuses: ['already-exists'],
      versioned: true,
      find: findVault,
    },
    async ({ params: { id }, body, actor, request, inAccount }) => {
      const vault = await inAccount((trx) => changeVault(trx, id, body, actor, ifMatch(request)))
      return reply(200, vault, etag(vault))
    },
  )
  route(
    {
      method: 'delete',
      path: '/v1/identity-groups/:id',
      action: 'vault.delete',
      summary: 'Delete an empty vault',
      params,
      answers: { 204: null },
      refuses: ['vault-not-empty'],
      versioned: true,
      find: findVault,
    },
    async ({ params: { id }, actor, request, inAccount }) => {
      await inAccount((trx) => deleteVault(trx, id, actor, ifMatch(request)))
      return reply(204, null)
    },
  )
}

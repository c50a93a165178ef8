import { v7 as uuidv7 } from 'uuid'
import { z } from 'zod'
import { scopeOf } from '#policy/scope.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { Health } from '#schemas/check.ts'
import { ChangeIdentity, CreateIdentity, Identity } from '#schemas/identity.ts'
import { HostId, IdentityId, OrganizationId, VaultId } from '#schemas/ids.ts'
import { PageQuery, pageOf } from '#schemas/page.ts'
import type { Principal } from '#schemas/principal.ts'
import { Secret } from '#schemas/secret.ts'
import { text } from '#schemas/text.ts'
import { changeIdentity } from '#store/change-identity.ts'
import type { Transaction } from '#store/connection.ts'
import { createIdentity } from '#store/create-identity.ts'
import { deleteIdentity } from '#store/delete-identity.ts'
import { listIdentities, readIdentity } from '#store/identity.ts'
import { fieldsOf } from '#store/merged.ts'
import { refuseFaults } from '#store/refusals.ts'
import { readVault } from '#store/vault.ts'
import { pageFrom } from './collection.ts'
import { createOnce } from './create-once.ts'
import { etag, ifMatch } from './etag.ts'
import { moveRefusals, moveTo } from './move-identity.ts'
import type { Parts } from './parts.ts'
import { reply, type DefineRoute, type Reply } from './route.ts'
import { sealerFor } from './seal-credential.ts'

const params = z.object({ id: IdentityId })
const query = PageQuery.extend({
  organizationId: OrganizationId.optional(),
  identityGroupId: VaultId.optional(),
  hostId: HostId.optional(),
  name: text(0, 200).optional(),
  health: Health.optional().meta({ description: 'Of one of its hosts at least' }),
})

async function find(trx: Transaction, { params: { id } }: { readonly params: z.infer<typeof params> }) {
  const identity = await readIdentity(trx, id)
  return { organizationId: identity.organizationId, vaultId: identity.identityGroupId, identityId: id, identity }
}

/** Credentials and their settings (S2 "Adding credentials"). */
export function identityRoutes(route: DefineRoute, parts: Parts): void {
  route(
    {
      method: 'post',
      path: '/v1/identities',
      action: 'identity.create',
      confirms: true,
      summary: 'Add a credential to a vault',
      body: CreateIdentity,
      answers: { 201: Identity },
      refuses: ['already-exists', 'organization-secret-not-found'],
      versioned: true,
      idempotent: true,
      find: async (trx, { body }) => ({ organizationId: (await readVault(trx, body.identityGroupId)).organizationId, vaultId: body.identityGroupId }),
    },
    async (context) => {
      const { credential, ...settings } = context.body
      refuseGrace(context.principal, settings.afterUseGraceMinutes)
      const id = IdentityId.parse(uuidv7())
      const { identityGroupId: vaultId, credentialType } = settings
      const sealVersion = await sealerFor(parts, context, { identityId: id, vaultId, credentialType }, Secret.of(credential))
      const identity = await createOnce(context, {
        id,
        make: (trx) => createIdentity(trx, id, settings, sealVersion(1), context.actor),
        read: (trx, made) => readIdentity(trx, IdentityId.parse(made)),
      })
      return reply(201, identity, { ...etag(identity), location: `/v1/identities/${identity.id}` })
    },
  )
  route(
    { method: 'get', path: '/v1/identities', action: 'identity.list', summary: 'List identities', query, answers: { 200: pageOf(Identity) } },
    async ({ principal, query: { limit, cursor, ...filter }, inAccount }) =>
      reply(200, await inAccount((trx) => listIdentities(trx, scopeOf(principal, 'identity.list'), filter, pageFrom({ limit, cursor })))),
  )
  route(
    {
      method: 'get',
      path: '/v1/identities/:id',
      action: 'identity.read',
      summary: 'Read an identity, never its credential',
      params,
      answers: { 200: Identity },
      versioned: true,
      find,
    },
    ({ found }) => reply(200, found.identity, etag(found.identity)),
  )
  route(
    {
      method: 'patch',
      path: '/v1/identities/:id',
      action: 'identity.update',
      confirms: true,
      summary: 'Change an identity or store another credential',
      params,
      body: ChangeIdentity,
      answers: { 200: Identity },
      // With another vault it is a move.
      refuses: moveRefusals,
      versioned: true,
      find,
    },
    async (context) => {
      const { params, found, body, actor, request } = context
      const { credential, identityGroupId, ...change } = body
      if (identityGroupId !== undefined && identityGroupId !== found.vaultId) return moved(parts, context, identityGroupId)
      refuseGrace(context.principal, change.afterUseGraceMinutes)
      const { vaultId, identity: before } = found
      const at = { identityId: params.id, vaultId, credentialType: change.credentialType ?? before.credentialType }
      const sealing = credential === undefined ? {} : { seal: await sealerFor(parts, context, at, Secret.of(credential)) }
      const seen = { vaultId, credentialType: before.credentialType }
      const identity = await context.inAccount((trx) =>
        changeIdentity(trx, { id: params.id, change, actor, seen, expectedVersion: ifMatch(request), ...sealing }),
      )
      parts.wakeLoops()
      return reply(200, identity, etag(identity))
    },
  )
  route(
    {
      method: 'delete',
      path: '/v1/identities/:id',
      action: 'identity.delete',
      summary: 'Delete an identity and shred its credential',
      params,
      answers: { 204: null },
      refuses: ['identity-checked-out', 'identity-rotating', 'rotation-open', 'in-use'],
      versioned: true,
      find,
    },
    async ({ params: { id }, actor, request, inAccount }) => {
      await inAccount((trx) => deleteIdentity(trx, id, actor, ifMatch(request)))
      return reply(204, null)
    },
  )
}

/** Where it lies is decided by itself: another vault has other keys, grants and perhaps hosts. */
async function moved(parts: Parts, context: Parameters<typeof moveTo>[1] & { readonly body: ChangeIdentity }, to: VaultId): Promise<Reply> {
  refuseFaults(fieldsOf(context.body).length > 1 ? [{ path: 'identityGroupId', message: 'must be the only field: move first, or afterwards' }] : [])
  const identity = await moveTo(parts, context, to)
  return reply(200, identity, etag(identity))
}

/** After-use grace weakens what rotate-after-use promises: account owners decide. */
function refuseGrace(principal: Principal, minutes: number | null | undefined): void {
  if (minutes !== undefined && minutes !== null && !principal.owner) throw new LeaseholdError('forbidden', { missing: 'account owner: afterUseGraceMinutes' })
}

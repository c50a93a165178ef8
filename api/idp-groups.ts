import { z } from 'zod'
import { Uuid } from '#schemas/ids.ts'
import { ChangeIdpGroup, CreateIdpGroup, IdpGroup, Member } from '#schemas/directory.ts'
import { PageQuery, pageOf } from '#schemas/page.ts'
import type { Transaction } from '#store/connection.ts'
import { addMember, changeGroup, createGroup, deleteGroup, listGroups, listMembers, readGroup, removeMember } from '#store/idp-group.ts'
import { readIdpUser } from '#store/idp-user.ts'
import { pageFrom } from './collection.ts'
import { createOnce } from './create-once.ts'
import { etag, ifMatch } from './etag.ts'
import type { Parts } from './parts.ts'
import { reviewAccess } from './review-access.ts'
import { reply, type DefineRoute } from './route.ts'

const params = z.object({ id: Uuid })
const memberParams = z.object({ id: Uuid, idpUserId: Uuid })
const find = async (trx: Transaction, { params: { id } }: { readonly params: z.infer<typeof params> }) => ({ group: await readGroup(trx, id) })

/** Groups of the directory: what is granted to one holds for all its members (S2 "Access levels"). */
export function idpGroupRoutes(route: DefineRoute, parts: Parts): void {
  route(
    {
      method: 'post',
      path: '/v1/idp-groups',
      action: 'idp-group.create',
      confirms: true,
      summary: 'Create a group',
      body: CreateIdpGroup,
      answers: { 201: IdpGroup },
      versioned: true,
      refuses: ['already-exists'],
      idempotent: true,
    },
    async (context) => {
      const group = await createOnce(context, {
        make: (trx, id) => createGroup(trx, { id, caller: context.principal, actor: context.actor }, context.body),
        read: readGroup,
      })
      return reply(201, group, { ...etag(group), location: `/v1/idp-groups/${group.id}` })
    },
  )
  route(
    { method: 'get', path: '/v1/idp-groups', action: 'directory.list', summary: 'List groups', query: PageQuery, answers: { 200: pageOf(IdpGroup) } },
    async ({ query, inAccount }) => reply(200, await inAccount((trx) => listGroups(trx, pageFrom(query)))),
  )
  route(
    { method: 'get', path: '/v1/idp-groups/:id', action: 'directory.read', summary: 'Read a group', params, answers: { 200: IdpGroup }, versioned: true, find },
    ({ found }) => reply(200, found.group, etag(found.group)),
  )
  route(
    {
      method: 'patch',
      path: '/v1/idp-groups/:id',
      action: 'idp-group.update',
      confirms: true,
      summary: 'Rename a group',
      params,
      body: ChangeIdpGroup,
      answers: { 200: IdpGroup },
      versioned: true,
      refuses: ['already-exists'],
      find,
    },
    async ({ params: { id }, body, principal: caller, actor, request, inAccount }) => {
      const group = await inAccount((trx) => changeGroup(trx, { id, caller, actor, expectedVersion: ifMatch(request) }, body))
      return reply(200, group, etag(group))
    },
  )
  route(
    {
      method: 'delete',
      path: '/v1/idp-groups/:id',
      action: 'idp-group.delete',
      summary: 'Delete a group; its memberships, grants and roles end',
      params,
      answers: { 204: null },
      versioned: true,
      refuses: ['last-owner'],
      find,
    },
    async ({ params: { id }, principal: caller, actor, request, inAccount }) => {
      await reviewAccess(inAccount, await inAccount((trx) => deleteGroup(trx, { id, caller, actor, expectedVersion: ifMatch(request) })), actor)
      parts.wakeLoops()
      return reply(204, null)
    },
  )
  memberRoutes(route, parts)
}

function memberRoutes(route: DefineRoute, { wakeLoops }: Parts): void {
  route(
    {
      method: 'get',
      path: '/v1/idp-groups/:id/members',
      action: 'directory.read',
      summary: 'List the members of a group',
      params,
      query: PageQuery,
      answers: { 200: pageOf(Member) },
      find,
    },
    async ({ params: { id }, query, inAccount }) => reply(200, await inAccount((trx) => listMembers(trx, id, pageFrom(query)))),
  )
  route(
    {
      method: 'put',
      path: '/v1/idp-groups/:id/members/:idpUserId',
      action: 'idp-group.add-member',
      confirms: true,
      summary: 'Put somebody into a group',
      params: memberParams,
      answers: { 204: null },
      refuses: ['members-follow-claims'],
      find: findMember,
    },
    async ({ params: { id, idpUserId }, principal: caller, actor, inAccount }) => {
      await inAccount((trx) => addMember(trx, { id, caller, actor }, idpUserId))
      return reply(204, null)
    },
  )
  route(
    {
      method: 'delete',
      path: '/v1/idp-groups/:id/members/:idpUserId',
      action: 'idp-group.remove-member',
      summary: 'Take somebody out of a group, from the next request on',
      params: memberParams,
      answers: { 204: null },
      refuses: ['members-follow-claims', 'last-owner'],
      find: findMember,
    },
    async ({ params: { id, idpUserId }, principal: caller, actor, inAccount }) => {
      await reviewAccess(inAccount, await inAccount((trx) => removeMember(trx, { id, caller, actor }, idpUserId)), actor)
      wakeLoops()
      return reply(204, null)
    },
  )
}

const findMember = async (trx: Transaction, request: { readonly params: z.infer<typeof memberParams> }) => {
  await readIdpUser(trx, request.params.idpUserId)
  return find(trx, request)
}

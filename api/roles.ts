import { z } from 'zod'
import { Uuid } from '#schemas/ids.ts'
import { PageQuery, pageOf } from '#schemas/page.ts'
import { ChangeRole, CreateRole, CreateRoleAssignment, Role, RoleAssignment } from '#schemas/role.ts'
import type { Transaction } from '#store/connection.ts'
import { readOrganization } from '#store/organization.ts'
import { assignRole, endAssignment, listAssignments, readAssignment } from '#store/role-assignment.ts'
import { changeRole, createRole, deleteRole, listRoles, readRole } from '#store/role.ts'
import { pageFrom } from './collection.ts'
import { createOnce } from './create-once.ts'
import { etag, ifMatch } from './etag.ts'
import type { Parts } from './parts.ts'
import { reviewAccess } from './review-access.ts'
import { reply, type DefineRoute } from './route.ts'

const params = z.object({ id: Uuid })
const itemParams = z.object({ id: Uuid, assignmentId: Uuid })
const find = async (trx: Transaction, { params: { id } }: { readonly params: z.infer<typeof params> }) => ({ role: await readRole(trx, id) })

/** Roles: sets of permissions (S2 "Prerequisites and permission model"). */
export function roleRoutes(route: DefineRoute, parts: Parts): void {
  route(
    {
      method: 'post',
      path: '/v1/roles',
      action: 'role.create',
      confirms: true,
      summary: 'Create a role',
      body: CreateRole,
      answers: { 201: Role },
      versioned: true,
      refuses: ['already-exists'],
      idempotent: true,
    },
    async (context) => {
      const role = await createOnce(context, {
        make: (trx, id) => createRole(trx, id, context.body, context.actor),
        read: readRole,
      })
      return reply(201, role, { ...etag(role), location: `/v1/roles/${role.id}` })
    },
  )
  route(
    { method: 'get', path: '/v1/roles', action: 'role.list', summary: 'List roles', query: PageQuery, answers: { 200: pageOf(Role) } },
    async ({ query, inAccount }) => reply(200, await inAccount((trx) => listRoles(trx, pageFrom(query)))),
  )
  route(
    { method: 'get', path: '/v1/roles/:id', action: 'role.read', summary: 'Read a role', params, answers: { 200: Role }, versioned: true, find },
    ({ found }) => reply(200, found.role, etag(found.role)),
  )
  route(
    {
      method: 'patch',
      path: '/v1/roles/:id',
      action: 'role.update',
      confirms: true,
      summary: 'Change a role',
      params,
      body: ChangeRole,
      answers: { 200: Role },
      versioned: true,
      refuses: ['already-exists'],
      find,
    },
    async ({ params: { id }, body, principal: caller, actor, request, inAccount }) => {
      const { role, review } = await inAccount((trx) => changeRole(trx, { id, caller, actor, expectedVersion: ifMatch(request) }, body))
      await reviewAccess(inAccount, review, actor)
      parts.wakeLoops()
      return reply(200, role, etag(role))
    },
  )
  route(
    {
      method: 'delete',
      path: '/v1/roles/:id',
      action: 'role.delete',
      summary: 'Delete a role that nobody holds',
      params,
      answers: { 204: null },
      versioned: true,
      refuses: ['in-use'],
      find,
    },
    async ({ params: { id }, principal: caller, actor, request, inAccount }) => {
      await inAccount((trx) => deleteRole(trx, { id, caller, actor, expectedVersion: ifMatch(request) }))
      return reply(204, null)
    },
  )
  assignmentRoutes(route, parts)
}

function assignmentRoutes(route: DefineRoute, { wakeLoops }: Parts): void {
  route(
    {
      method: 'post',
      path: '/v1/roles/:id/assignments',
      action: 'role.assign',
      confirms: true,
      summary: 'Give a role to a user or group',
      params,
      body: CreateRoleAssignment,
      answers: { 201: RoleAssignment },
      refuses: ['already-exists'],
      idempotent: true,
      find: async (trx, request) => {
        const { organizationId = null } = request.body
        if (organizationId !== null) await readOrganization(trx, organizationId)
        return { ...(await find(trx, request)), organizationId }
      },
    },
    async (context) => {
      const {
        params: { id: roleId },
        principal: caller,
        actor,
      } = context
      const assignment = await createOnce(context, {
        make: (trx, id) => assignRole(trx, { id, roleId, caller, actor }, context.body),
        read: (trx, id) => readAssignment(trx, roleId, id),
      })
      return reply(201, assignment, { location: `/v1/roles/${roleId}/assignments/${assignment.id}` })
    },
  )
  route(
    {
      method: 'get',
      path: '/v1/roles/:id/assignments',
      action: 'role.read',
      summary: 'List who holds a role',
      params,
      query: PageQuery,
      answers: { 200: pageOf(RoleAssignment) },
      find,
    },
    async ({ params: { id }, query, inAccount }) => reply(200, await inAccount((trx) => listAssignments(trx, id, pageFrom(query)))),
  )
  route(
    {
      method: 'get',
      path: '/v1/roles/:id/assignments/:assignmentId',
      action: 'role.read',
      summary: 'Read an assignment, ended ones too',
      params: itemParams,
      answers: { 200: RoleAssignment },
      find: findAssignment,
    },
    ({ found }) => reply(200, found.assignment),
  )
  route(
    {
      method: 'delete',
      path: '/v1/roles/:id/assignments/:assignmentId',
      action: 'role.unassign',
      summary: 'Take a role away, from the next request on',
      params: itemParams,
      answers: { 204: null },
      refuses: ['last-owner'],
      find: findAssignment,
    },
    async ({ params: { id: roleId, assignmentId: id }, principal: caller, actor, inAccount }) => {
      const reviews = await inAccount((trx) => endAssignment(trx, { id, roleId, caller, actor }))
      await reviewAccess(inAccount, reviews ?? [], actor)
      wakeLoops()
      return reply(204, null)
    },
  )
}

async function findAssignment(trx: Transaction, { params: { id, assignmentId } }: { readonly params: z.infer<typeof itemParams> }) {
  const assignment = await readAssignment(trx, id, assignmentId)
  return { assignment, organizationId: assignment.organizationId }
}

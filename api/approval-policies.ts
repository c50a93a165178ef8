import { z } from 'zod'
import { scopeOf } from '#policy/scope.ts'
import { ApprovalPolicy, ApprovalPolicyQuery, ChangeApprovalPolicy, CreateApprovalPolicy } from '#schemas/approval-policy.ts'
import { ApprovalPolicyId, type IdentityId, type OrganizationId, type VaultId } from '#schemas/ids.ts'
import { pageOf } from '#schemas/page.ts'
import { changeApprovalPolicy, createApprovalPolicy, deleteApprovalPolicy, listApprovalPolicies, readApprovalPolicy } from '#store/approval-policy.ts'
import type { Transaction } from '#store/connection.ts'
import { readIdentityPlace } from '#store/identity-place.ts'
import { readVault } from '#store/vault.ts'
import { pageFrom } from './collection.ts'
import { createOnce } from './create-once.ts'
import { etag, ifMatch } from './etag.ts'
import { reply, type DefineRoute } from './route.ts'

const params = z.object({ id: ApprovalPolicyId })

async function findPolicy(trx: Transaction, { params: { id } }: { readonly params: z.infer<typeof params> }) {
  const policy = await readApprovalPolicy(trx, id)
  return {
    organizationId: policy.organizationId,
    vaultId: policy.identityGroupId,
    ...(policy.identityId === null ? {} : { identityId: policy.identityId }),
    policy,
  }
}

/** Where a new policy is to hold. */
async function findTarget(
  trx: Transaction,
  { body: { identityGroupId, identityId } }: { readonly body: CreateApprovalPolicy },
): Promise<{ readonly organizationId: OrganizationId; readonly vaultId: VaultId; readonly identityId?: IdentityId } | undefined> {
  if (identityId !== undefined) return readIdentityPlace(trx, identityId)
  if (identityGroupId === undefined) return undefined
  return { organizationId: (await readVault(trx, identityGroupId)).organizationId, vaultId: identityGroupId }
}

/** Who must agree before an identity is checked out. */
export function approvalPolicyRoutes(route: DefineRoute): void {
  route(
    {
      method: 'post',
      path: '/v1/approval-policies',
      action: 'approval-policy.create',
      confirms: true,
      summary: 'Have checkouts of a vault or an identity approved by others',
      body: CreateApprovalPolicy,
      answers: { 201: ApprovalPolicy },
      refuses: ['already-exists', 'quorum-unreachable'],
      versioned: true,
      idempotent: true,
      find: findTarget,
    },
    async (context) => {
      const { principal: caller, actor, body } = context
      const policy = await createOnce(context, {
        make: (trx, id) => createApprovalPolicy(trx, { id: ApprovalPolicyId.parse(id), caller, actor }, body),
        read: (trx, id) => readApprovalPolicy(trx, ApprovalPolicyId.parse(id)),
      })
      return reply(201, policy, { ...etag(policy), location: `/v1/approval-policies/${policy.id}` })
    },
  )
  route(
    {
      method: 'get',
      path: '/v1/approval-policies',
      action: 'approval-policy.list',
      summary: 'List approval policies',
      query: ApprovalPolicyQuery,
      answers: { 200: pageOf(ApprovalPolicy) },
    },
    async ({ principal, query, inAccount }) => {
      const filter = { vaultId: query.identityGroupId, identityId: query.identityId }
      return reply(200, await inAccount((trx) => listApprovalPolicies(trx, scopeOf(principal, 'approval-policy.list'), filter, pageFrom(query))))
    },
  )
  route(
    {
      method: 'get',
      path: '/v1/approval-policies/:id',
      action: 'approval-policy.read',
      summary: 'Read an approval policy',
      params,
      answers: { 200: ApprovalPolicy },
      versioned: true,
      find: findPolicy,
    },
    ({ found }) => reply(200, found.policy, etag(found.policy)),
  )
  route(
    {
      method: 'patch',
      path: '/v1/approval-policies/:id',
      action: 'approval-policy.update',
      confirms: true,
      summary: 'Change an approval policy; decisions that were made under it before count no more',
      params,
      body: ChangeApprovalPolicy,
      answers: { 200: ApprovalPolicy },
      refuses: ['quorum-unreachable'],
      versioned: true,
      find: findPolicy,
    },
    async ({ params: { id }, principal: caller, actor, body, request, inAccount }) => {
      const policy = await inAccount((trx) => changeApprovalPolicy(trx, { id, caller, actor, expectedVersion: ifMatch(request) }, body))
      return reply(200, policy, etag(policy))
    },
  )
  route(
    {
      method: 'delete',
      path: '/v1/approval-policies/:id',
      action: 'approval-policy.delete',
      confirms: true,
      summary: 'Delete an approval policy',
      params,
      answers: { 204: null },
      versioned: true,
      find: findPolicy,
    },
    async ({ params: { id }, principal: caller, actor, request, inAccount }) => {
      await inAccount((trx) => deleteApprovalPolicy(trx, { id, caller, actor, expectedVersion: ifMatch(request) }))
      return reply(204, null)
    },
  )
}

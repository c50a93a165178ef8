import { z } from 'zod'
import { Uuid } from '#schemas/ids.ts'
import { decideOnce } from '#policy/cedar.ts'
import { readPolicies as parsePolicies, type Policies } from '#policy/cedar-policies.ts'
import { baselinePolicies } from '#policy/cedar-schema.ts'
import { decide, type Resource } from '#policy/decide.ts'
import { rules, type Action } from '#policy/rules.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/ids.ts'
import { PageQuery, pageOf } from '#schemas/page.ts'
import { CreatePolicySet, PolicyAnswer, PolicyQuestion, PolicySet } from '#schemas/policy.ts'
import type { Principal } from '#schemas/principal.ts'
import type { Transaction } from '#store/connection.ts'
import { readIdentity } from '#store/identity.ts'
import { readOrganization } from '#store/organization.ts'
import { activatePolicySet, createPolicySet, listPolicySets, readPolicies, readPolicySet } from '#store/policy-set.ts'
import { readPrincipal } from '#store/principal.ts'
import { readVault } from '#store/vault.ts'
import { pageFrom } from './collection.ts'
import { createOnce } from './create-once.ts'
import { circumstancesOf, questionOf } from './enforce.ts'
import type { Parts } from './parts.ts'
import { reply, type DefineRoute } from './route.ts'

const params = z.object({ id: Uuid })
const find = async (trx: Transaction, { params: { id } }: { readonly params: z.infer<typeof params> }) => ({ set: await readPolicySet(trx, id) })

/** Policies of an account (Cedar), in versions: written, tried, put in force. */
export function policyRoutes(route: DefineRoute, { config }: Parts): void {
  route(
    {
      method: 'post',
      path: '/v1/policy-sets',
      action: 'policy.create',
      confirms: true,
      summary: 'Keep a new version of the policies; it decides nothing until it is activated',
      body: CreatePolicySet,
      answers: { 201: PolicySet },
      idempotent: true,
    },
    async (context) => {
      checked(context.body.policies, config.acrOrder)
      const set = await createOnce(context, {
        make: (trx, id) => createPolicySet(trx, id, context.principal.userId, context.body, context.actor),
        read: readPolicySet,
      })
      return reply(201, set, { location: `/v1/policy-sets/${set.id}` })
    },
  )
  route(
    {
      method: 'get',
      path: '/v1/policy-sets',
      action: 'policy.list',
      summary: 'List the versions of the policies',
      query: PageQuery,
      answers: { 200: pageOf(PolicySet) },
    },
    async ({ query, inAccount }) => reply(200, await inAccount((trx) => listPolicySets(trx, pageFrom(query)))),
  )
  route(
    { method: 'get', path: '/v1/policy-sets/:id', action: 'policy.read', summary: 'Read one version', params, answers: { 200: PolicySet }, find },
    ({ found }) => reply(200, found.set),
  )
  route(
    {
      method: 'post',
      path: '/v1/policy-sets/:id/activate',
      action: 'policy.activate',
      confirms: true,
      summary: 'Put a version in force, from the next request on',
      params,
      body: z.strictObject({}),
      answers: { 200: PolicySet },
      find,
    },
    async ({ params: { id }, found, principal, token, actor, inAccount }) => {
      const question = questionOf(principal, 'policy.activate', {}, circumstancesOf({ token, actor }))
      // Who puts policies in force must be able to put others in force.
      if (!decideOnce(checked(found.set.policies, config.acrOrder), question).permit) {
        throw new LeaseholdError('validation-failed', { errors: [{ path: 'policies', message: 'must permit policy.activate to you: nobody could undo it' }] })
      }
      return reply(200, await inAccount((trx) => activatePolicySet(trx, id, actor)))
    },
  )
  route(
    {
      method: 'post',
      path: '/v1/policy-dry-runs',
      action: 'policy.try',
      summary: 'Ask what would be decided, and why; nothing happens',
      body: PolicyQuestion,
      answers: { 200: PolicyAnswer },
      find: async (trx, { body }) => {
        const subject = await readPrincipal(trx, body.userId)
        if (subject === undefined) throw new LeaseholdError('not-found')
        const version = body.version ?? subject.policyVersion
        return { subject, place: await placeOf(trx, body), text: body.policies ?? (version === null ? baselinePolicies : await readPolicies(trx, version)) }
      },
    },
    ({ body, found: { subject, place, text } }) => {
      if (!Object.hasOwn(rules, body.action)) {
        throw new LeaseholdError('validation-failed', { errors: [{ path: 'action', message: 'must be an action of the API' }] })
      }
      return reply(200, answerOf(checked(text, config.acrOrder), subject, place, body))
    },
  )
}

/** @throws LeaseholdError `validation-failed` with everything that is wrong with the policies */
function checked(text: string, acrOrder: readonly string[]): Policies {
  const policies = parsePolicies(text, acrOrder)
  if ('faults' in policies) throw new LeaseholdError('validation-failed', { errors: policies.faults })
  return policies
}

async function placeOf(trx: Transaction, { identityId, identityGroupId, organizationId }: PolicyQuestion): Promise<Resource & { identityId?: IdentityId }> {
  if (identityId !== undefined) {
    const { organizationId, identityGroupId: vaultId } = await readIdentity(trx, identityId)
    return { organizationId, vaultId, identityId }
  }
  if (identityGroupId !== undefined) return { organizationId: (await readVault(trx, identityGroupId)).organizationId, vaultId: identityGroupId }
  return organizationId === undefined ? {} : { organizationId: (await readOrganization(trx, organizationId)).id }
}

function answerOf(policies: Policies, subject: Principal, place: Resource & { identityId?: IdentityId }, asked: PolicyQuestion): PolicyAnswer {
  const action = asked.action as Action
  // What only a holder may do is asked about as if they were it.
  const first = decide(subject, action, { ...place, holderId: subject.userId })
  if (!first.permit) {
    const { missing = null } = first
    const decidedBy = missing?.startsWith('vault access') === true ? 'grant' : 'permission'
    return { decision: 'deny', decidedBy, missing, policies: [], obligations: [] }
  }
  const { acr, loginAgeSeconds, senderConstrained, ip, minutes, now } = asked
  const circumstances = { now: now === undefined ? new Date() : new Date(now), acr, loginAgeSeconds, senderConstrained, ip, minutes }
  const question = questionOf(subject, action, place, circumstances)
  const { permit, policies: ids, obligations } = decideOnce(policies, question)
  return {
    decision: permit ? 'permit' : 'deny',
    decidedBy: 'policy',
    missing: permit ? null : 'a policy that permits it',
    policies: [...ids],
    obligations: [...obligations],
  }
}

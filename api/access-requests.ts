import { z } from 'zod'
import { scopeOf } from '#policy/scope.ts'
import {
  AccessRequest,
  AccessRequestAnswer,
  AccessRequestItem,
  AccessRequestQuery,
  ChangeAccessRequest,
  DecisionBody,
  LinkBody,
} from '#schemas/access-request.ts'
import { AccessRequestId, type IdentityId, type VaultId } from '#schemas/ids.ts'
import { pageOf } from '#schemas/page.ts'
import type { Sealed } from '#schemas/sealed.ts'
import { readDecisionLink } from '#secrets/decision-link.ts'
import { findAccessRequest, listAccessRequests, readAccessRequest } from '#store/access-request.ts'
import { standingOf } from '#store/approval-standing.ts'
import { readApprovalTerms } from '#store/approval-terms.ts'
import { changeAccessRequest } from '#store/change-access-request.ts'
import { cancelAccessRequest } from '#store/close-access-request.ts'
import type { Transaction } from '#store/connection.ts'
import { decideAccessRequest } from '#store/decide-access-request.ts'
import { expectVersion } from '#store/refusals.ts'
import { readVaultKeyRef } from '#store/vault.ts'
import { pageFrom } from './collection.ts'
import { etag, ifMatch } from './etag.ts'
import { fetchKeyRing } from './key-ring.ts'
import type { Parts } from './parts.ts'
import { presentAccessRequest } from './present-access-request.ts'
import { reply, type DefineRoute, type FindRequest, type Reply, type RouteContext } from './route.ts'

const params = z.object({ id: AccessRequestId })
/** What opening or sealing a reason may come to. */
const ofReasons = ['organization-secret-not-found', 'decryption-failed'] as const

/** The request, by what its approvers are counted, and what the right to act on it rests on. */
async function findRequest(trx: Transaction, { params: { id } }: Pick<FindRequest<z.infer<typeof params>, unknown, unknown>, 'params'>) {
  const request = await findAccessRequest(trx, id)
  if (request === undefined) return undefined
  const terms = await readApprovalTerms(trx, request.identityId)
  const { organizationId, vaultId, identityId, userId: holderId } = request
  return { organizationId, vaultId, identityId, requestId: id, holderId, approvers: standingOf(request, terms).approvers, request, terms }
}

const reread = async (trx: Transaction, id: AccessRequestId) => {
  const request = await readAccessRequest(trx, id)
  return { request, terms: await readApprovalTerms(trx, request.identityId) }
}

/** Requests for an approval and what is decided on them; a checkout makes them (api/checkout.ts). */
export function accessRequestRoutes(route: DefineRoute, { vaultKeys, decisionLinkKey, wakeLoops }: Parts): void {
  /** Seals what somebody wrote with the key of the request's vault, before the transaction that stores it. */
  async function sealText(
    { inAccount, found }: Pick<RouteContext<unknown, unknown, unknown, { readonly vaultId: VaultId; readonly identityId: IdentityId }>, 'inAccount' | 'found'>,
    text: string,
  ): Promise<Sealed> {
    const vaultKey = await inAccount((trx) => readVaultKeyRef(trx, found.vaultId))
    const ring = await fetchKeyRing(vaultKeys, { vaultKey, keyVersions: [], legacyOpen: false, hasLegacyValues: false })
    return ring.sealReason(found.identityId, text)
  }

  /** Changes the request in one transaction and answers what it is then. */
  async function answer(
    { params: { id }, principal, inAccount }: Pick<RouteContext<z.infer<typeof params>, unknown, unknown, unknown>, 'params' | 'principal' | 'inAccount'>,
    decide: (trx: Transaction) => Promise<void>,
  ): Promise<Reply> {
    const after = await inAccount(async (trx) => {
      await decide(trx)
      return reread(trx, id)
    })
    wakeLoops()
    const accessRequest = await presentAccessRequest(vaultKeys, principal.userId, after)
    return reply(200, { accessRequest }, etag(accessRequest))
  }

  route(
    {
      method: 'get',
      path: '/v1/access-requests',
      action: 'access-request.list',
      summary: 'Access requests: your own, those that you may decide on, and for admins and auditors all; newest first',
      query: AccessRequestQuery,
      answers: { 200: pageOf(AccessRequest) },
      refuses: ofReasons,
    },
    async ({ principal, query, inAccount }) => {
      const { state, identityId, identityGroupId: vaultId, userId, show } = query
      const filter = { state, identityId, vaultId, userId, show }
      const { page, terms } = await inAccount(async (trx) => {
        const found = await listAccessRequests(trx, scopeOf(principal, 'access-request.read'), principal.userId, filter, pageFrom(query))
        const identities = [...new Set(found.items.map((request) => request.identityId))]
        return { page: found, terms: new Map(await Promise.all(identities.map(async (id) => [id, await readApprovalTerms(trx, id)] as const))) }
      })
      const shown = page.items.flatMap((request) => {
        const of = terms.get(request.identityId)
        return of === undefined ? [] : [presentAccessRequest(vaultKeys, principal.userId, { request, terms: of })]
      })
      return reply(200, { ...page, items: await Promise.all(shown) })
    },
  )

  route(
    {
      method: 'get',
      path: '/v1/access-requests/:id',
      action: 'access-request.read',
      summary: 'One access request with its decisions',
      params,
      answers: { 200: AccessRequestItem },
      versioned: true,
      refuses: ofReasons,
      find: findRequest,
    },
    async ({ principal, found }) => {
      const accessRequest = await presentAccessRequest(vaultKeys, principal.userId, found)
      return reply(200, { ...accessRequest, accessRequest }, etag(accessRequest))
    },
  )

  route(
    {
      method: 'patch',
      path: '/v1/access-requests/:id',
      action: 'access-request.update',
      summary: 'Ask for something else; the request starts anew',
      params,
      body: ChangeAccessRequest,
      answers: { 200: AccessRequestAnswer },
      versioned: true,
      refuses: [...ofReasons, 'access-request-closed', 'access-request-open', 'access-request-limit', 'quorum-unreachable'],
      find: findRequest,
    },
    async (context) => {
      const {
        params: { id },
        principal: { userId },
        actor,
        body,
        request,
      } = context
      const { durationMinutes: minutes, hostId, ticket } = body
      const reason = body.reason === undefined ? undefined : await sealText(context, body.reason)
      return answer(context, (trx) => changeAccessRequest(trx, { id, userId, actor, expectedVersion: ifMatch(request), minutes, hostId, ticket, reason }))
    },
  )

  route(
    {
      method: 'post',
      path: '/v1/access-requests/:id/decisions',
      action: 'access-request.decide',
      summary: 'Approve or deny the version that you saw',
      params,
      body: DecisionBody,
      answers: { 200: AccessRequestAnswer },
      versioned: true,
      refuses: [...ofReasons, 'access-request-closed'],
      find: findRequest,
    },
    async (context) => {
      const {
        params: { id },
        principal: { userId },
        actor,
        body: { verdict, version: expectedVersion, comment },
        request,
      } = context
      expectVersion(expectedVersion, ifMatch(request))
      const sealed = comment == null ? null : await sealText(context, comment)
      return answer(context, (trx) => decideAccessRequest(trx, { id, userId, verdict, comment: sealed, actor, expectedVersion }))
    },
  )

  route(
    {
      method: 'post',
      path: '/v1/access-request-links',
      action: 'access-request.decide',
      summary: 'Decide by a link of a notification; it is for one person, one version and one verdict, and works once',
      body: LinkBody,
      answers: { 200: AccessRequestAnswer },
      refuses: [...ofReasons, 'not-found', 'precondition-failed', 'access-request-closed', 'link-spent'],
      find: async (trx, { caller, body }) => {
        const link = readDecisionLink(decisionLinkKey, body.token)
        // Somebody else's is no other than none.
        if (link === undefined || link.accountId !== caller.accountId || link.userId !== caller.userId) return undefined
        const found = await findRequest(trx, { params: { id: link.requestId } })
        return found && { ...found, link }
      },
    },
    async (context) => {
      const { principal, actor, body, found, inAccount } = context
      const { requestId: id, version: expectedVersion, verdict, userId } = found.link
      const comment = body.comment == null ? null : await sealText(context, body.comment)
      const decision = { id, userId, verdict, comment, actor, expectedVersion, once: true }
      return answer({ params: { id }, principal, inAccount }, (trx) => decideAccessRequest(trx, decision))
    },
  )

  route(
    {
      method: 'post',
      path: '/v1/access-requests/:id/cancel',
      action: 'access-request.cancel',
      summary: 'Take an access request back; an approval of it can no longer be used',
      params,
      body: z.strictObject({}),
      answers: { 200: AccessRequestAnswer },
      refuses: [...ofReasons, 'access-request-closed'],
      find: findRequest,
    },
    (context) => answer(context, (trx) => cancelAccessRequest(trx, context.params.id, context.principal.userId, context.actor)),
  )
}

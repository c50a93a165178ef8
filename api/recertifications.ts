import { z } from 'zod'
import { scopeOf } from '#policy/scope.ts'
import { RecertificationId, Uuid } from '#schemas/ids.ts'
import { pageOf } from '#schemas/page.ts'
import {
  CreateRecertification,
  DecideItem,
  Recertification,
  RecertificationEvidence,
  RecertificationItem,
  RecertificationItemQuery,
  RecertificationQuery,
} from '#schemas/recertification.ts'
import { Secret } from '#schemas/secret.ts'
import { sealForAccount } from '#secrets/account-key.ts'
import { appendAudit } from '#store/audit.ts'
import type { Transaction } from '#store/connection.ts'
import { decideItem } from '#store/decide-recertification-item.ts'
import { openRecertification } from '#store/open-recertification.ts'
import { readOrganization } from '#store/organization.ts'
import { readRecertificationEvidence } from '#store/recertification-evidence.ts'
import { listItems, readItem } from '#store/recertification-item.ts'
import { listRecertifications, readRecertification } from '#store/recertification.ts'
import { cancelRecertification } from '#store/settle-recertification.ts'
import { mapPage, pageFrom } from './collection.ts'
import { createOnce } from './create-once.ts'
import type { Parts } from './parts.ts'
import { presentItem, presentRecertification, presentRecertificationEvidence } from './present-recertification.ts'
import { reviewAccess } from './review-access.ts'
import { reply, type DefineRoute } from './route.ts'

const params = z.object({ id: RecertificationId })
const itemParams = z.object({ id: RecertificationId, itemId: Uuid })

async function find(trx: Transaction, { params: { id } }: { readonly params: z.infer<typeof params> }) {
  const recertification = await readRecertification(trx, id)
  return { organizationId: recertification.organizationId, approvers: new Set(recertification.people), recertification }
}

/** Reviewers keep or remove the access of others, item by item. */
export function recertificationRoutes(route: DefineRoute, { accountKeys, wakeLoops }: Parts): void {
  route(
    {
      method: 'post',
      path: '/v1/recertifications',
      action: 'recertification.create',
      confirms: true,
      summary: 'Have reviewers decide who keeps which access in an organization',
      body: CreateRecertification,
      answers: { 201: Recertification },
      refuses: ['quorum-unreachable', 'decryption-failed'],
      idempotent: true,
      find: async (trx, { body: { organizationId } }) => ({ organizationId: (await readOrganization(trx, organizationId)).id }),
    },
    async (context) => {
      const { principal: caller, actor, body } = context
      const key = await accountKeys.ensure(caller.accountId)
      const made = await createOnce(context, {
        make: (trx, id) => {
          const reason = sealForAccount(key, { purpose: 'recertification', id }, Secret.of(body.reason))
          return openRecertification(trx, { id: RecertificationId.parse(id), reason, caller, actor }, body)
        },
        read: (trx, id) => readRecertification(trx, RecertificationId.parse(id)),
      })
      wakeLoops()
      return reply(201, presentRecertification(key, caller.userId, made), { location: `/v1/recertifications/${made.id}` })
    },
  )
  route(
    {
      method: 'get',
      path: '/v1/recertifications',
      action: 'recertification.list',
      summary: 'Recertifications: those that you review, and for administrators and auditors all; newest first',
      query: RecertificationQuery,
      answers: { 200: pageOf(Recertification) },
      refuses: ['decryption-failed'],
    },
    async ({ principal: { accountId, userId }, principal, query, inAccount }) => {
      const scope = scopeOf(principal, 'recertification.read')
      const page = await inAccount((trx) => listRecertifications(trx, scope, userId, query, pageFrom(query)))
      if (page.items.length === 0) return reply(200, page)
      const key = await accountKeys.get(accountId)
      return reply(
        200,
        mapPage(page, (item) => presentRecertification(key, userId, item)),
      )
    },
  )
  route(
    {
      method: 'get',
      path: '/v1/recertifications/:id',
      action: 'recertification.read',
      summary: 'One recertification, and how far it is',
      params,
      answers: { 200: Recertification },
      refuses: ['decryption-failed'],
      find,
    },
    async ({ principal: { accountId, userId }, found }) => reply(200, presentRecertification(await accountKeys.get(accountId), userId, found.recertification)),
  )
  route(
    {
      method: 'get',
      path: '/v1/recertifications/:id/items',
      action: 'recertification.read',
      summary: 'Who had which access when it began, and what was decided about it',
      params,
      query: RecertificationItemQuery,
      answers: { 200: pageOf(RecertificationItem) },
      refuses: ['decryption-failed'],
      find,
    },
    async ({ params: { id }, principal: { accountId, userId }, query, found, inAccount }) => {
      const page = await inAccount((trx) => listItems(trx, id, userId, query.decision, pageFrom(query)))
      const key = await accountKeys.get(accountId)
      return reply(
        200,
        mapPage(page, (item) => presentItem(key, userId, found.recertification, item)),
      )
    },
  )
  route(
    {
      method: 'post',
      path: '/v1/recertifications/:id/items/:itemId/decide',
      action: 'recertification.decide',
      summary: 'Keep the access of somebody else, or remove it at once and for good',
      params: itemParams,
      body: DecideItem,
      answers: { 200: RecertificationItem },
      refuses: ['recertification-closed', 'recertification-item-decided', 'last-owner', 'decryption-failed'],
      find: async (trx, request) => {
        await readItem(trx, request.params.id, request.params.itemId, null)
        return find(trx, request)
      },
    },
    async ({ params: { id, itemId }, principal: caller, actor, body, inAccount }) => {
      const key = await accountKeys.ensure(caller.accountId)
      const comment = sealForAccount(key, { purpose: 'recertification', id: itemId }, Secret.of(body.comment))
      const { reviews, recertification, item } = await inAccount(async (trx) => ({
        reviews: await decideItem(trx, { id, itemId, decision: body.decision, comment, caller, actor }),
        recertification: await readRecertification(trx, id),
        item: await readItem(trx, id, itemId, caller.userId),
      }))
      await reviewAccess(inAccount, reviews, actor)
      wakeLoops()
      return reply(200, presentItem(key, caller.userId, recertification, item))
    },
  )
  route(
    {
      method: 'post',
      path: '/v1/recertifications/:id/cancel',
      action: 'recertification.cancel',
      summary: 'End it before its time; what was removed stays removed',
      params,
      body: z.strictObject({}),
      answers: { 200: Recertification },
      refuses: ['recertification-closed', 'decryption-failed'],
      find,
    },
    async ({ params: { id }, principal: caller, actor, inAccount }) => {
      const cancelled = await inAccount(async (trx) => {
        await cancelRecertification(trx, id, caller, actor)
        return readRecertification(trx, id)
      })
      wakeLoops()
      return reply(200, presentRecertification(await accountKeys.get(caller.accountId), caller.userId, cancelled))
    },
  )
  route(
    {
      method: 'get',
      path: '/v1/recertifications/:id/evidence',
      action: 'recertification.read-evidence',
      summary: 'Scope, reviewers, every item with its decision and effect, and the events that prove it',
      params,
      answers: { 200: RecertificationEvidence },
      refuses: ['decryption-failed'],
      find: async (trx, request) => {
        const found = await find(trx, request)
        return { ...found, evidence: await readRecertificationEvidence(trx, found.recertification) }
      },
    },
    async ({ params: { id: recertificationId }, principal: { accountId, userId }, actor, found, inAccount }) => {
      const { organizationId, recertification, evidence } = found
      const about = { organizationId, detail: { recertificationId } }
      await inAccount((trx) => appendAudit(trx, { actor, action: 'audit.read', effect: 'permit', outcome: 'success', ...about }))
      const key = await accountKeys.get(accountId)
      return reply(200, presentRecertificationEvidence(key, presentRecertification(key, userId, recertification), evidence))
    },
  )
}

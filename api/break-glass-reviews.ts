import { z } from 'zod'
import { scopeOf } from '#policy/scope.ts'
import { BreakGlassEvidence, BreakGlassReview, BreakGlassReviewQuery, SignReview } from '#schemas/break-glass.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { LeaseId } from '#schemas/ids.ts'
import { pageOf } from '#schemas/page.ts'
import { appendAudit } from '#store/audit.ts'
import { readBreakGlassEvidence } from '#store/break-glass-evidence.ts'
import { listBreakGlassReviews, readBreakGlassReview, type BreakGlassReviewView, type SealedText } from '#store/break-glass-review.ts'
import type { Transaction } from '#store/connection.ts'
import { signBreakGlassReview } from '#store/sign-break-glass-review.ts'
import { readVaultKeyRef } from '#store/vault.ts'
import { presentEvidence } from './break-glass-evidence.ts'
import { pageFrom } from './collection.ts'
import { fetchKeyRing, openReason } from './key-ring.ts'
import type { Parts } from './parts.ts'
import { reply, type DefineRoute, type FindRequest } from './route.ts'

const params = z.object({ id: LeaseId })
const ofTexts = ['organization-secret-not-found', 'decryption-failed'] as const

async function findReview(trx: Transaction, { params: { id } }: Pick<FindRequest<{ id: LeaseId }, unknown, unknown>, 'params'>) {
  const review = await readBreakGlassReview(trx, id)
  if (review === undefined) return undefined
  const { organizationId, vaultId, identityId, userId: holderId } = review
  return { organizationId, vaultId, identityId, leaseId: id, holderId, review }
}

/** Every use of break-glass stays open here until an admin other than the user has looked at it. */
export function breakGlassReviewRoutes(route: DefineRoute, { vaultKeys, wakeLoops }: Parts): void {
  const present = (review: BreakGlassReviewView) => presentReview((text) => openReason(vaultKeys, review.identityId, text), review)

  route(
    {
      method: 'get',
      path: '/v1/break-glass-reviews',
      action: 'break-glass-review.list',
      summary: 'Uses of break-glass and what came out of looking at them, newest first',
      query: BreakGlassReviewQuery,
      answers: { 200: pageOf(BreakGlassReview) },
      refuses: ofTexts,
    },
    async ({ principal, query, inAccount }) => {
      const page = await inAccount((trx) => listBreakGlassReviews(trx, scopeOf(principal, 'break-glass-review.list'), query, pageFrom(query)))
      return reply(200, { ...page, items: await Promise.all(page.items.map(present)) })
    },
  )
  route(
    {
      method: 'get',
      path: '/v1/break-glass-reviews/:id',
      action: 'break-glass-review.read',
      summary: 'One use of break-glass, by the id of its lease',
      params,
      answers: { 200: BreakGlassReview },
      refuses: ofTexts,
      find: findReview,
    },
    async ({ found }) => reply(200, await present(found.review)),
  )
  route(
    {
      method: 'get',
      path: '/v1/break-glass-reviews/:id/evidence',
      action: 'break-glass-review.read-evidence',
      summary: 'Who, why, from where, when, what, until when, rotated when, and proven how',
      params,
      answers: { 200: BreakGlassEvidence },
      refuses: ofTexts,
      find: async (trx, request) => {
        const found = await findReview(trx, request)
        return found && { ...found, evidence: await readBreakGlassEvidence(trx, found.review) }
      },
    },
    async ({ actor, params: { id }, found, inAccount }) => {
      const { organizationId, vaultId, identityId } = found
      const about = { organizationId, vaultId, identityId, leaseId: id, breakGlass: true }
      await inAccount((trx) => appendAudit(trx, { actor, action: 'audit.read', effect: 'permit', outcome: 'success', ...about }))
      return reply(200, presentEvidence(await present(found.review), found.evidence))
    },
  )
  route(
    {
      method: 'post',
      path: '/v1/break-glass-reviews/:id/sign',
      action: 'break-glass-review.sign',
      summary: 'Close the review of an emergency use of somebody else, with a finding',
      params,
      body: SignReview,
      answers: { 200: BreakGlassReview },
      refuses: [...ofTexts, 'break-glass-in-use', 'break-glass-review-signed'],
      find: async (trx, request) => {
        const found = await findReview(trx, request)
        return found && { ...found, vaultKey: await readVaultKeyRef(trx, found.vaultId) }
      },
    },
    async ({ principal, actor, params: { id }, body, found, inAccount }) => {
      const { vaultKey, identityId } = found
      // Of the vault in which it was used, wherever the identity is by now.
      const ring = await fetchKeyRing(vaultKeys, { vaultKey, keyVersions: [], legacyOpen: false, hasLegacyValues: false })
      const finding = ring.sealReason(identityId, body.finding)
      const signed = await inAccount(async (trx) => {
        await signBreakGlassReview(trx, { id, principal, actor, finding })
        return readBreakGlassReview(trx, id)
      })
      if (signed === undefined) throw new LeaseholdError('not-found')
      wakeLoops()
      return reply(200, await present(signed))
    },
  )
}

async function presentReview(open: (text: SealedText) => Promise<string>, review: BreakGlassReviewView): Promise<BreakGlassReview> {
  const { id, state, organizationId, vaultId: identityGroupId, identityId, hostId, beyondLimit, reminders, rotation, endCause } = review
  return {
    id,
    state,
    organizationId,
    identityGroupId,
    identityId,
    hostId,
    user: { id: review.userId, name: review.userName },
    reason: await open(review.reason),
    justification: await open(review.justification),
    ticket: review.ticket,
    beyondLimit,
    openedAt: review.openedAt.toISOString(),
    lease: { state: review.leaseState, expiresAt: review.expiresAt.toISOString(), endedAt: review.endedAt?.toISOString() ?? null, endCause },
    rotation: rotation && { ...rotation, finishedAt: rotation.finishedAt === null ? null : new Date(rotation.finishedAt).toISOString() },
    reminders,
    signedBy: review.signedBy === null ? null : { id: review.signedBy, name: review.signedByName },
    signedAt: review.signedAt?.toISOString() ?? null,
    finding: review.finding === null ? null : await open(review.finding),
  }
}

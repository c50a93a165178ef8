import { z } from 'zod'
import { scopeOf } from '#policy/scope.ts'
import { LeaseId, type IdentityId } from '#schemas/ids.ts'
import { CredentialAnswer, ExtendBody, ForceCheckinBody, Lease, LeaseAnswer, LeaseItem, LeaseQuery } from '#schemas/lease.ts'
import { pageOf } from '#schemas/page.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { readCheckoutFacts } from '#store/checkout-facts.ts'
import type { Transaction } from '#store/connection.ts'
import { extendLease } from '#store/extend-lease.ts'
import { listLeases, readLeaseView, type LeaseView } from '#store/lease-view.ts'
import { endLease, type Release } from '#store/release-lease.ts'
import { showLeaseCredential } from '#store/reveal.ts'
import { fetchKeyRing, withUpgrade } from './key-ring.ts'
import { pageFrom } from './collection.ts'
import type { Parts } from './parts.ts'
import { presentPossible } from './present-possible.ts'
import { presentLeaseView } from './present-lease.ts'
import { reply, type DefineRoute, type FindRequest } from './route.ts'

const params = z.object({ id: LeaseId })
const nothing = z.strictObject({})
/** What opening or sealing a reason may come to. */
const ofReasons = ['organization-secret-not-found', 'decryption-failed'] as const

/** The lease and what the right to act on it rests on. */
async function findLease(trx: Transaction, { params }: Pick<FindRequest<{ id: LeaseId }, unknown, unknown>, 'params'>) {
  const lease = await readLeaseView(trx, params.id)
  return (
    lease && {
      organizationId: lease.organizationId,
      vaultId: lease.vaultId,
      holderId: lease.userId,
      identityId: lease.identityId,
      leaseId: lease.id,
      emergency: lease.mode === 'break_glass',
      withoutProvider: lease.mode === 'break_glass' && lease.breakGlassWithoutProvider,
      lease,
    }
  )
}

/** The same with what its credential is opened with. */
async function findLeaseWithKeys(trx: Transaction, request: Pick<FindRequest<{ id: LeaseId }, unknown, unknown>, 'params'>) {
  const found = await findLease(trx, request)
  return found && { ...found, facts: await readCheckoutFacts(trx, found.identityId, null) }
}

/** Others have agreed to it, or could not be asked. */
const wasAgreed = ({ requestId, mode }: LeaseView): boolean => requestId !== null || mode === 'break_glass'

async function reread(trx: Transaction, id: LeaseId): Promise<LeaseView> {
  const lease = await readLeaseView(trx, id)
  if (lease === undefined) throw new LeaseholdError('not-found')
  return lease
}

async function end(trx: Transaction, identityId: IdentityId, release: Release): Promise<LeaseView> {
  await endLease(trx, identityId, release)
  return reread(trx, release.leaseId)
}

export function leaseRoutes(route: DefineRoute, parts: Parts): void {
  const { vaultKeys, wakeLoops } = parts

  route(
    {
      method: 'get',
      path: '/v1/leases',
      action: 'lease.list',
      summary: 'Leases, newest first',
      query: LeaseQuery,
      answers: { 200: pageOf(Lease) },
      refuses: ofReasons,
    },
    async ({ principal, query, inAccount }) => {
      const { identityId, identityGroupId, userId, state, mode } = query
      const page = await inAccount((trx) =>
        listLeases(trx, scopeOf(principal, 'lease.list'), principal.userId, { identityId, vaultId: identityGroupId, userId, state, mode }, pageFrom(query)),
      )
      return reply(200, { ...page, items: await Promise.all(page.items.map((lease) => presentLeaseView(parts, principal, lease))) })
    },
  )

  route(
    {
      method: 'get',
      path: '/v1/leases/:id',
      action: 'lease.read',
      summary: 'One lease',
      params,
      answers: { 200: LeaseItem },
      refuses: ofReasons,
      find: findLease,
    },
    async ({ principal, found }) => {
      const lease = await presentLeaseView(parts, principal, found.lease)
      return reply(200, { ...lease, lease })
    },
  )

  route(
    {
      method: 'post',
      path: '/v1/leases/:id/credential',
      action: 'lease.read-credential',
      emergency: true,
      summary: 'The credential of an active lease once more',
      params,
      body: nothing,
      answers: { 200: CredentialAnswer },
      refuses: [...ofReasons, 'lease-not-active', 'inject-only'],
      approved: ({ lease }) => wasAgreed(lease),
      find: findLeaseWithKeys,
    },
    async ({ principal, actor, params: { id }, found, inAccount }) => {
      const ring = await fetchKeyRing(vaultKeys, found.facts)
      const asked = { leaseId: id, principal, actor, open: ring.openValue }
      const { username, value, alsoPossible } = await inAccount(withUpgrade(ring, actor, (trx) => showLeaseCredential(trx, asked)))
      return reply(200, { username, value: value.expose(), ...(alsoPossible.length === 0 ? {} : { alsoPossible: alsoPossible.map(presentPossible) }) })
    },
  )

  route(
    {
      method: 'post',
      path: '/v1/leases/:id/checkin',
      action: 'lease.checkin',
      emergency: true,
      summary: 'Give the credential back',
      params,
      body: nothing,
      answers: { 200: LeaseAnswer },
      refuses: ofReasons,
      find: findLease,
      findAtOnce: true,
    },
    async ({ principal, actor, params: { id }, found, inAccount }) => {
      const lease = await inAccount((trx) => end(trx, found.identityId, { leaseId: id, cause: 'checked_in', actor, endedBy: principal.userId }))
      // crash point: checkin committed
      wakeLoops()
      return reply(200, { lease: await presentLeaseView(parts, principal, lease) })
    },
  )

  route(
    {
      method: 'post',
      path: '/v1/leases/:id/force-checkin',
      action: 'lease.force-checkin',
      summary: 'End the lease of another person',
      params,
      body: ForceCheckinBody,
      answers: { 200: LeaseAnswer },
      refuses: ofReasons,
      find: findLeaseWithKeys,
    },
    async ({ principal, actor, params: { id }, body, found, inAccount }) => {
      const ring = await fetchKeyRing(vaultKeys, found.facts)
      const reason = ring.sealReason(found.identityId, body.reason)
      const lease = await inAccount((trx) => end(trx, found.identityId, { leaseId: id, cause: 'forced', actor, endedBy: principal.userId, reason }))
      wakeLoops()
      return reply(200, { lease: await presentLeaseView(parts, principal, lease) })
    },
  )

  route(
    {
      method: 'post',
      path: '/v1/leases/:id/extend',
      action: 'lease.extend',
      emergency: true,
      summary: 'Move the end of a lease',
      params,
      body: ExtendBody,
      answers: { 200: LeaseAnswer },
      refuses: [...ofReasons, 'lease-not-active', 'identity-draining'],
      approved: ({ lease }) => wasAgreed(lease),
      find: findLease,
      asked: ({ minutes }) => ({ minutes }),
    },
    async ({ principal, actor, decisionEndsAt, params: { id }, body, inAccount }) => {
      const lease = await inAccount(async (trx) => {
        await extendLease(trx, { leaseId: id, minutes: body.minutes, decisionEndsAt, principal, actor })
        return reread(trx, id)
      })
      wakeLoops()
      return reply(200, { lease: await presentLeaseView(parts, principal, lease) })
    },
  )
}

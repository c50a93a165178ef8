import { z } from 'zod'
import { decide } from '#policy/decide.ts'
import { scopeOf } from '#policy/scope.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { RotationCampaignId } from '#schemas/ids.ts'
import { pageOf } from '#schemas/page.ts'
import type { Principal } from '#schemas/principal.ts'
import { CreateRotationCampaign, RotationCampaign, RotationCampaignItem, RotationCampaignItemQuery, RotationCampaignQuery } from '#schemas/rotation-campaign.ts'
import type { CampaignVerb } from '#schemas/rules/rotation-campaign.ts'
import { Secret } from '#schemas/secret.ts'
import { openForAccount, sealForAccount } from '#secrets/account-key.ts'
import { changeRotationCampaign } from '#store/change-rotation-campaign.ts'
import type { Transaction } from '#store/connection.ts'
import { findReplay } from '#store/idempotency.ts'
import { listCampaignItems, listRotationCampaigns, readRotationCampaignView, type RotationCampaignView } from '#store/rotation-campaign-view.ts'
import { readCampaignTargets, startRotationCampaign } from '#store/start-rotation-campaign.ts'
import { confirmRight } from './authorize.ts'
import { mapPage, pageFrom } from './collection.ts'
import { createOnce } from './create-once.ts'
import type { Parts } from './parts.ts'
import { requireRotations } from './require-rotations.ts'
import { reply, type DefineRoute, type FindRequest } from './route.ts'

const params = z.object({ id: RotationCampaignId })

async function findCampaign(trx: Transaction, { params: { id } }: Pick<FindRequest<{ id: RotationCampaignId }, unknown, unknown>, 'params'>) {
  const campaign = await readRotationCampaignView(trx, id)
  return campaign && { organizationId: campaign.organizationId, campaign }
}

async function reread(trx: Transaction, id: RotationCampaignId): Promise<RotationCampaignView> {
  const campaign = await readRotationCampaignView(trx, id)
  if (campaign === undefined) throw new LeaseholdError('not-found')
  return campaign
}

const verbs = {
  pause: 'Begin no more rotations of a campaign until it is resumed',
  resume: 'Go on with a campaign that is paused',
  abort: 'Begin no more rotations of a campaign; those under way go on to their end',
} as const satisfies Record<CampaignVerb, string>

/** Many identities rotated by one request, a few at a time. */
export function rotationCampaignRoutes(route: DefineRoute, parts: Parts): void {
  const { accountKeys, wakeLoops } = parts
  const present = async (principal: Principal, { reason, ...campaign }: RotationCampaignView): Promise<RotationCampaign> => {
    const place = { organizationId: campaign.organizationId, holderId: campaign.startedBy.id }
    if (!decide(principal, 'rotation-campaign.read-reason', place).permit) return { ...campaign, reason: null }
    // While the key store is down the state is still told, without the reason.
    const key = await accountKeys.get(principal.accountId).catch(() => undefined)
    return { ...campaign, reason: key === undefined ? null : openForAccount(key, { purpose: 'rotation-campaign', id: campaign.id }, reason).expose() }
  }

  route(
    {
      method: 'post',
      path: '/v1/rotation-campaigns',
      action: 'rotation-campaign.create',
      summary: 'Rotate every identity of some vaults, or a list of identities',
      body: CreateRotationCampaign,
      answers: { 201: RotationCampaign },
      refuses: ['decryption-failed'],
      idempotent: true,
    },
    async (context) => {
      const { principal, actor, body, idempotency, inAccount } = context
      const { atOnce } = body
      const make = async () => {
        const targets = await inAccount((trx) => readCampaignTargets(trx, body))
        await requireRotations(parts, context, targets)
        const key = await accountKeys.ensure(principal.accountId)
        return createOnce(context, {
          make: async (trx, made) => {
            const id = RotationCampaignId.parse(made)
            const reason = sealForAccount(key, { purpose: 'rotation-campaign', id }, Secret.of(body.reason))
            await startRotationCampaign(trx, { id, startedBy: principal.userId, actor, atOnce, reason, targets }, body)
            await confirmRight(trx, principal, 'identity.rotate', { organizationId: body.organizationId })
            return reread(trx, id)
          },
          read: (trx, id) => reread(trx, RotationCampaignId.parse(id)),
        })
      }
      // What has begun is answered to a retry whatever has become of its identities and rights since.
      const before = await inAccount(async (trx) => {
        const id = await findReplay(trx, idempotency)
        return id === undefined ? undefined : reread(trx, RotationCampaignId.parse(id))
      })
      const campaign = before ?? (await make())
      wakeLoops()
      return reply(201, await present(principal, campaign), { location: `/v1/rotation-campaigns/${campaign.id}` })
    },
  )

  route(
    {
      method: 'get',
      path: '/v1/rotation-campaigns',
      action: 'rotation-campaign.list',
      summary: 'Rotation campaigns, newest first',
      query: RotationCampaignQuery,
      answers: { 200: pageOf(RotationCampaign) },
      refuses: ['decryption-failed'],
    },
    async ({ principal, query, inAccount }) => {
      const page = await inAccount((trx) => listRotationCampaigns(trx, scopeOf(principal, 'rotation-campaign.list'), query, pageFrom(query)))
      return reply(200, { ...page, items: await Promise.all(page.items.map((campaign) => present(principal, campaign))) })
    },
  )

  route(
    {
      method: 'get',
      path: '/v1/rotation-campaigns/:id',
      action: 'rotation-campaign.read',
      summary: 'One campaign: how many of its identities are in which state',
      params,
      answers: { 200: RotationCampaign },
      refuses: ['decryption-failed'],
      find: findCampaign,
    },
    async ({ principal, found }) => reply(200, await present(principal, found.campaign)),
  )

  route(
    {
      method: 'get',
      path: '/v1/rotation-campaigns/:id/items',
      action: 'rotation-campaign.read',
      summary: 'The identities of a campaign, with what each waits for',
      params,
      query: RotationCampaignItemQuery,
      answers: { 200: pageOf(RotationCampaignItem) },
      find: findCampaign,
    },
    async ({ params: { id }, query, inAccount }) => {
      const page = await inAccount((trx) => listCampaignItems(trx, id, query.state, pageFrom(query)))
      return reply(
        200,
        mapPage(page, ({ id: _id, ...item }) => item),
      )
    },
  )

  for (const verb of Object.keys(verbs) as CampaignVerb[]) {
    route(
      {
        method: 'post',
        path: `/v1/rotation-campaigns/:id/${verb}`,
        action: `rotation-campaign.${verb}`,
        summary: verbs[verb],
        params,
        body: z.strictObject({}),
        answers: { 200: RotationCampaign },
        refuses: ['rotation-campaign-over', 'decryption-failed'],
        find: findCampaign,
      },
      async ({ principal, actor, params: { id }, inAccount }) => {
        const campaign = await inAccount(async (trx) => {
          await changeRotationCampaign(trx, id, verb, actor)
          return reread(trx, id)
        })
        wakeLoops()
        return reply(200, await present(principal, campaign))
      },
    )
  }
}

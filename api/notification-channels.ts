import { randomBytes } from 'node:crypto'
import { v7 as uuidv7 } from 'uuid'
import { z } from 'zod'
import { scopeOf } from '#policy/scope.ts'
import { splitSettings } from '#schemas/channel-secret.ts'
import { ChannelId } from '#schemas/ids.ts'
import {
  ChangeNotificationChannel,
  ChannelTest,
  CreatedNotificationChannel,
  CreateNotificationChannel,
  NotificationChannel,
  settingFaults,
} from '#schemas/notification-channel.ts'
import { PageQuery, pageOf } from '#schemas/page.ts'
import { Secret } from '#schemas/secret.ts'
import { sealForAccount } from '#secrets/account-key.ts'
import type { Transaction } from '#store/connection.ts'
import { changeChannel, createChannel, deleteChannel, listChannels, readChannel, readChannelTarget, recordChannelTest } from '#store/notification-channel.ts'
import { readOrganization } from '#store/organization.ts'
import { refuseFaults } from '#store/refusals.ts'
import { pageFrom } from './collection.ts'
import { createOnce } from './create-once.ts'
import { etag, ifMatch } from './etag.ts'
import type { Parts } from './parts.ts'
import { reply, type DefineRoute } from './route.ts'

const params = z.object({ id: ChannelId })

async function find(trx: Transaction, { params: { id } }: { readonly params: z.infer<typeof params> }) {
  const channel = await readChannel(trx, id)
  return { organizationId: channel.organizationId, channel }
}

/** Where notices go besides the mail of the installation: mail servers, webhooks, chats, NATS. */
export function notificationChannelRoutes(route: DefineRoute, { config, accountKeys, notices }: Parts): void {
  route(
    {
      method: 'post',
      path: '/v1/notification-channels',
      action: 'notification-channel.create',
      confirms: true,
      summary: 'Add a notification channel; the answer holds the signing secret of a webhook',
      body: CreateNotificationChannel,
      answers: { 201: CreatedNotificationChannel },
      refuses: ['already-exists'],
      versioned: true,
      idempotent: true,
      find: async (trx, { body: { organizationId } }) => ({ organizationId: organizationId && (await readOrganization(trx, organizationId)).id }),
    },
    async (context) => {
      const { body, actor, principal } = context
      refuseFaults(settingFaults(body.type, body.settings, config.mode))
      const id = uuidv7()
      const signingSecret = `whsec_${randomBytes(32).toString('base64')}`
      const { shown, secret } = splitSettings(body.type, body.settings, signingSecret)
      const key = await accountKeys.ensure(principal.accountId)
      const sealed = sealForAccount(key, { purpose: 'channel', id }, Secret.of(JSON.stringify(secret)))
      const channel = await createOnce<CreatedNotificationChannel>(context, {
        id,
        make: async (trx) => ({
          ...(await createChannel(trx, ChannelId.parse(id), body, { settings: shown, secret: sealed }, actor)),
          secret: secret.signingSecret ?? null,
        }),
        // It was shown once; whoever lost that answer makes another channel.
        read: async (trx, made) => ({ ...(await readChannel(trx, ChannelId.parse(made))), secret: null }),
      })
      return reply(201, channel, { ...etag(channel), location: `/v1/notification-channels/${channel.id}`, 'cache-control': 'no-store' })
    },
  )
  route(
    {
      method: 'get',
      path: '/v1/notification-channels',
      action: 'notification-channel.list',
      summary: 'List notification channels',
      query: PageQuery,
      answers: { 200: pageOf(NotificationChannel) },
    },
    async ({ principal, query, inAccount }) =>
      reply(200, await inAccount((trx) => listChannels(trx, scopeOf(principal, 'notification-channel.list'), pageFrom(query)))),
  )
  route(
    {
      method: 'get',
      path: '/v1/notification-channels/:id',
      action: 'notification-channel.read',
      summary: 'Read a notification channel',
      params,
      answers: { 200: NotificationChannel },
      versioned: true,
      find,
    },
    ({ found }) => reply(200, found.channel, etag(found.channel)),
  )
  route(
    {
      method: 'patch',
      path: '/v1/notification-channels/:id',
      action: 'notification-channel.update',
      confirms: true,
      summary: 'Rename a notification channel, or change what it takes',
      params,
      body: ChangeNotificationChannel,
      answers: { 200: NotificationChannel },
      refuses: ['already-exists'],
      versioned: true,
      find,
    },
    async ({ params: { id }, body, actor, request, inAccount }) => {
      const channel = await inAccount((trx) => changeChannel(trx, id, body, actor, ifMatch(request)))
      return reply(200, channel, etag(channel))
    },
  )
  route(
    {
      method: 'delete',
      path: '/v1/notification-channels/:id',
      action: 'notification-channel.delete',
      confirms: true,
      summary: 'Remove a notification channel; what was raised before is still sent by it',
      params,
      answers: { 204: null },
      versioned: true,
      find,
    },
    async ({ params: { id }, actor, request, inAccount }) => {
      await inAccount((trx) => deleteChannel(trx, id, actor, ifMatch(request)))
      return reply(204, null)
    },
  )
  route(
    {
      method: 'post',
      path: '/v1/notification-channels/:id/test',
      action: 'notification-channel.test',
      summary: 'Send a test message, to the caller where it is mail, and wait for the answer',
      params,
      body: z.strictObject({}),
      answers: { 200: ChannelTest },
      find,
    },
    async ({ params: { id }, principal: { accountId, userId, email }, actor, found: { channel }, inAccount }) => {
      const target = await inAccount((trx) => readChannelTarget(trx, id))
      const noticeId = uuidv7()
      const subject = { type: 'channel', id } as const
      const words = { facts: { userId }, names: { [id]: channel.name }, createdAt: new Date().toISOString() }
      const notice = { id: noticeId, kind: 'channel.test', severity: 'info', organizationId: channel.organizationId, subject, ...words } as const
      const { state, receipt } = await notices.send(accountId, notice, { channel: target, address: channel.settings.to?.[0] ?? email })
      await inAccount((trx) => recordChannelTest(trx, channel, actor, receipt))
      return reply(200, { noticeId, delivered: state === 'delivered', receipt })
    },
  )
}

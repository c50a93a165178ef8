import { Webhook } from 'standardwebhooks'
import { ChannelSecret } from '#schemas/channel-secret.ts'
import { Secret } from '#schemas/secret.ts'
import { sendLimit } from '#schemas/rules/notification.ts'
import { openForAccount, type AccountKeys } from '#secrets/account-key.ts'
import type { AccountId } from '#schemas/ids.ts'
import type { Claim, DeliveryTarget, Outcome } from '#store/notice-delivery.ts'
import type { Reach } from './dial.ts'
import { sendMail, type MailServer } from './mail.ts'
import { messageOf, type Message } from './message.ts'
import { postJson } from './post.ts'
import { publishNotice } from './publish.ts'

export interface SendParts {
  readonly accountKeys: AccountKeys
  /** How the receivers that people have configured are reached. */
  readonly reach: Reach
  /** The mail server of the installation; undefined: it has none. Operators have configured it: it may be anywhere. */
  readonly mail: MailServer | undefined
  /** Mail and messages without TLS are good enough. */
  readonly plainAllowed: boolean
  /** What a mail to one person says besides; absent: nothing. */
  readonly personalWords?: (accountId: AccountId, notice: Claim['notice'], userId: string) => string
}

/** Sends one message once. It never throws and never takes longer than `sendLimit`. */
export type Send = (accountId: AccountId, notice: Claim['notice'], target: DeliveryTarget) => Promise<Outcome>

const delivered = (receipt: string): Outcome => ({ state: 'delivered', receipt })
const refused = (receipt: string): Outcome => ({ state: 'refused', receipt })
const skipped = (receipt: string): Outcome => ({ state: 'skipped', receipt })

export function createSend(parts: SendParts): Send {
  return async (accountId, notice, target) => {
    const limit = new AbortController()
    const timer = setTimeout(() => limit.abort(new DOMException('the receiver takes too long', 'TimeoutError')), sendLimit)
    const late = new Promise<Outcome>((resolve) => limit.signal.addEventListener('abort', () => resolve(refused('timeout')), { once: true }))
    const message = messageOf(accountId, notice)
    const personal = target.userId === undefined || target.address === null ? '' : (parts.personalWords?.(accountId, notice, target.userId) ?? '')
    const sent = attempt(parts, accountId, { ...message, text: message.text + personal }, target, limit.signal).catch((error: unknown) =>
      refused(classOf(error)),
    )
    return Promise.race([sent, late]).finally(() => clearTimeout(timer))
  }
}

async function attempt(parts: SendParts, accountId: AccountId, message: Message, { channel, address }: DeliveryTarget, signal: AbortSignal): Promise<Outcome> {
  const { mail, reach } = parts
  const anywhere: Reach = { ...reach, mayReach: () => true }
  if (channel === null) {
    if (mail === undefined) return skipped('no-mail-server')
    return address === null ? skipped('no-address') : delivered(await sendMail(mail, address, message, anywhere, signal))
  }
  const { type, settings } = channel
  const secret = await openSecret(parts, accountId, channel)
  const login =
    settings.username === undefined || secret.password === undefined ? undefined : { username: settings.username, password: Secret.of(secret.password) }
  switch (type) {
    case 'smtp': {
      if (address === null) return skipped('no-address')
      const own =
        settings.url === undefined ? undefined : { url: settings.url, plainAllowed: parts.plainAllowed, from: settings.from ?? mail?.from ?? address, login }
      const server = own ?? mail
      if (server === undefined) return skipped('no-mail-server')
      return delivered(await sendMail(server, address, message, own === undefined ? anywhere : reach, signal))
    }
    case 'webhook': {
      const body = JSON.stringify(message.payload)
      return statusOf(await postJson(secret.url ?? '', signed(secret.signingSecret ?? '', message.id, body), body, reach, signal))
    }
    case 'slack':
      return statusOf(await postJson(secret.url ?? '', {}, JSON.stringify({ text: `*${message.title}*\n${withoutMarkup(message.text)}` }), reach, signal))
    case 'nats':
      await publishNotice({ url: settings.url ?? '', subject: settings.subject ?? '', login }, message, reach, signal)
      return delivered('nats')
  }
}

/** Standard Webhooks 1.0.0: HMAC-SHA-256 over id, time and body. The id is the same in every attempt, the time is not. */
function signed(secret: string, id: string, body: string): Record<string, string> {
  const now = new Date()
  return { 'webhook-id': id, 'webhook-timestamp': String(Math.floor(now.getTime() / 1_000)), 'webhook-signature': new Webhook(secret).sign(id, now, body) }
}

/** Names are anybody's words; in a chat they must be no link and call nobody (the three characters that Slack has escaped). */
const withoutMarkup = (words: string): string => words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

const statusOf = (status: number): Outcome => (status >= 200 && status < 300 ? delivered : refused)(`http ${status}`)

async function openSecret({ accountKeys }: SendParts, accountId: AccountId, { id, sealed }: NonNullable<DeliveryTarget['channel']>): Promise<ChannelSecret> {
  const opened = openForAccount(await accountKeys.get(accountId), { purpose: 'channel', id }, sealed)
  return ChannelSecret.parse(JSON.parse(opened.expose()))
}

/** A status or a code; the words of a receiver are never kept. */
function classOf(error: unknown): string {
  const { responseCode, code, name } = error as { responseCode?: unknown; code?: unknown; name?: unknown }
  if (typeof responseCode === 'number') return `smtp ${responseCode}`
  const word = typeof code === 'string' && code !== '' ? code : String(name)
  return /^[\w-]{1,60}$/.test(word) ? word : 'failed'
}

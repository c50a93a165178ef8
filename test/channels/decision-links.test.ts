import { createSecretKey, randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { decisionLinks } from '#activities/channels/decision-links.ts'
import { readDecisionLink } from '#secrets/decision-link.ts'
import { createHookReceiver, createMailReceiver, type HookReceiver, type MailReceiver } from '../support/receivers.ts'
import { accountId, channel, notice, sender } from './world.ts'

const key = createSecretKey(randomBytes(32))
let mail: MailReceiver
let hook: HookReceiver
beforeAll(async () => {
  mail = await createMailReceiver()
  hook = await createHookReceiver()
  await Promise.all([mail.start(), hook.start()])
})
afterAll(() => Promise.all([mail?.stop(), hook?.stop()]))

/** Quoted-printable, as mails with long lines are sent (RFC 2045 6.7). */
const plain = (text: string): string =>
  text
    .replace(/=\r?\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    .replaceAll('\r\n', '\n')

test('the mail to one approver has a link for each verdict; other mails, channels and kinds have none', async () => {
  const personalWords = decisionLinks(key, 'https://leasehold.example/console')
  const send = sender(['127.0.0.0/8'], undefined, { mail: { url: mail.url, from: 'leasehold@acme.example', plainAllowed: true }, personalWords })
  const [requestId, userId] = [randomUUID(), randomUUID()]
  const opened = notice({ kind: 'access_request.opened', severity: 'info', subject: { type: 'access_request', id: requestId }, facts: { version: 2 } })
  const mine = { channel: null, address: 'ola@acme.example', userId }
  await send(accountId, opened, mine)
  await send(accountId, opened, { channel: null, address: 'team@acme.example' })
  await send(accountId, opened, channel('webhook', { url: hook.url }))
  await send(accountId, { ...opened, kind: 'access_request.denied' }, mine)
  const [first, ...others] = mail.mails.map(({ text }) => plain(text))
  const links = [...(first ?? '').matchAll(/^(approve|deny): (\S+)$/gm)].map(([, verdict, url]) => ({ verdict, url: new URL(url ?? '') }))
  expect(links.map(({ url }) => [url.pathname, url.search])).toEqual(Array.from({ length: 2 }, () => [`/console/access-requests/${requestId}`, '']))
  expect(links.map(({ url }) => readDecisionLink(key, url.hash.replace('#decide=', '')))).toEqual(
    ['approve', 'deny'].map((verdict) => ({ accountId, requestId, version: 2, verdict, userId })),
  )
  for (const text of [...others, ...hook.hooks.map(({ body }) => body)]) expect(text).not.toContain('#decide=')
  expect([others.length, hook.hooks.length]).toEqual([2, 1])
})

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Webhook } from 'standardwebhooks'
import { NoticeKind } from '#schemas/notice.ts'
import { noticeWords } from '#schemas/notice-text.ts'
import { createHookReceiver, createMailReceiver, type HookReceiver, type MailReceiver } from '../support/receivers.ts'
import { accountId, channel, notice, sender, signingSecret } from './world.ts'

let mail: MailReceiver
let hook: HookReceiver
beforeAll(async () => {
  mail = await createMailReceiver()
  hook = await createHookReceiver()
  await Promise.all([mail.start(), hook.start()])
})
afterAll(() => Promise.all([mail?.stop(), hook?.stop()]))

const send = () => sender(['127.0.0.0/8'], undefined, { mail: { url: mail.url, from: 'leasehold@acme.example', plainAllowed: true } })

describe('every kind of notice', () => {
  test.each(NoticeKind.options)('%s has words of its own, and its facts by name', (kind) => {
    const id = '01980000-0000-7000-8000-000000000001'
    const { title, body } = noticeWords(
      notice({ kind, facts: { userId: id, expiresAt: '2027-01-01T00:30:00.000Z', hostId: null }, names: { [id]: 'Sam\r\nBcc: x' } }),
    )
    expect(title).toMatch(/^[A-Z][^\r\n]{10,80}$/)
    expect(body).toContain(`user: Sam Bcc: x (${id})`)
    expect(body).toContain('expires at: 2027-01-01T00:30:00.000Z')
    expect(body).not.toMatch(/^host:/m)
  })

  test('is told apart from every other one by its title', () => {
    expect(new Set(NoticeKind.options.map((kind) => noticeWords(notice({ kind })).title)).size).toBe(NoticeKind.options.length)
  })
})

test('the same notice has the same ids on every way and in every attempt', async () => {
  const told = notice()
  const targets = [channel('webhook', { url: hook.url }), channel('smtp', {}, 'mia@acme.example'), { channel: null, address: 'ola@acme.example' }]
  for (const target of [...targets, ...targets]) expect(await send()(accountId, told, target)).toMatchObject({ state: 'delivered' })
  expect(new Set(hook.hooks.map(({ headers }) => headers['webhook-id']))).toEqual(new Set([told.id]))
  expect(new Set(mail.mails.map(({ messageId }) => messageId))).toEqual(new Set([`${told.id}@notices.leasehold`]))
  expect(mail.mails.map(({ to }) => to.join())).toEqual(['mia@acme.example', 'ola@acme.example', 'mia@acme.example', 'ola@acme.example'])
})

test('a webhook is signed, and a changed body is not', async () => {
  hook.hooks.length = 0
  const told = notice({ facts: { minutes: 30 } })
  expect(await send()(accountId, told, channel('webhook', { url: `${hook.url}/a?b=c` }))).toEqual({ state: 'delivered', receipt: 'http 204' })
  const [{ headers, body } = { headers: {}, body: '' }] = hook.hooks
  const check = new Webhook(signingSecret)
  expect(check.verify(body, headers as Record<string, string>)).toMatchObject({
    data: { id: told.id, severity: 'critical', facts: { minutes: 30 }, accountId },
  })
  expect(() => check.verify(body.replace('30', '31'), headers as Record<string, string>)).toThrow(/signature/)
})

test('what a receiver refuses is said by its status, never by its words', async () => {
  mail.refuse(550)
  hook.answer({ status: 503, body: 'secret words' })
  expect(await send()(accountId, notice(), { channel: null, address: 'mia@acme.example' })).toEqual({ state: 'refused', receipt: 'smtp 550' })
  expect(await send()(accountId, notice(), channel('slack', { url: hook.url }))).toEqual({ state: 'refused', receipt: 'http 503' })
  mail.refuse(null)
  hook.answer({ status: 204 })
})

test('in a chat a name is no link and calls nobody', async () => {
  const told = notice()
  const named = { ...told, names: { [told.subject.id]: '<!channel> <https://elsewhere.example|Approve> & more' } }
  expect(await send()(accountId, named, channel('slack', { url: hook.url }))).toMatchObject({ state: 'delivered' })
  const { text } = JSON.parse(hook.hooks.at(-1)?.body ?? '') as { text: string }
  expect(text).toContain('&lt;!channel&gt; &lt;https://elsewhere.example|Approve&gt; &amp; more')
})

test('a mail needs a mail server and an address; without them there is nothing to try again', async () => {
  expect(await sender([])(accountId, notice(), { channel: null, address: 'mia@acme.example' })).toEqual({ state: 'skipped', receipt: 'no-mail-server' })
  expect(await send()(accountId, notice(), { channel: null, address: null })).toEqual({ state: 'skipped', receipt: 'no-address' })
})

test('where mail must be encrypted, a server without TLS gets none', async () => {
  mail.mails.length = 0
  const strict = sender(['127.0.0.0/8'], undefined, { mail: { url: mail.url, from: 'leasehold@acme.example', plainAllowed: false }, plainAllowed: false })
  expect(await strict(accountId, notice(), { channel: null, address: 'mia@acme.example' })).toMatchObject({ state: 'refused' })
  expect(mail.mails).toEqual([])
})

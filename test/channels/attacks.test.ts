import { createServer, type AddressInfo, type Server } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { createHookReceiver, createMailReceiver, type HookReceiver, type MailReceiver } from '../support/receivers.ts'
import { accountId, channel, notice, sender } from './world.ts'

/** Channels are made by people of one account, and sent by the network of the installation: what they could make it do. */

let inside: HookReceiver
let post: MailReceiver
beforeAll(async () => {
  inside = await createHookReceiver()
  post = await createMailReceiver()
  await Promise.all([inside.start(), post.start()])
})
afterAll(() => Promise.all([inside?.stop(), post?.stop()]))
beforeEach(() => {
  inside.hooks.length = 0
  inside.answer({ status: 204 })
})

const port = () => new URL(inside.url).port
const local = ['127.0.0.0/8']
const hook = (url: string) => channel('webhook', { url })

describe('without permission of the operator nothing is sent to', () => {
  test.each(['127.0.0.1', '[::1]', '[::ffff:127.0.0.1]', '0.0.0.0', '2130706433', '0x7f.1', '127.1', 'localhost'])('a webhook at %s', async (host) => {
    expect(await sender([])(accountId, notice(), hook(`http://${host}:${port()}/`))).toEqual({ state: 'refused', receipt: 'address-refused' })
    expect(inside.hooks).toEqual([])
  })

  test('a name that leads inside, or inside as well', async () => {
    for (const addresses of [['10.0.0.1'], ['1.1.1.1', '127.0.0.1'], ['::ffff:127.0.0.1'], []]) {
      const send = sender([], async () => addresses.map((address) => ({ address })))
      expect(await send(accountId, notice(), hook(`http://inside.example:${port()}/`))).toMatchObject({ receipt: 'address-refused' })
    }
    expect(inside.hooks).toEqual([])
  })

  test('a mail server, a chat or a NATS server there', async () => {
    const { port: smtp } = new URL(post.url)
    const targets = [
      channel('smtp', { url: `smtp://127.0.0.1:${smtp}` }, 'mia@acme.example'),
      channel('slack', { url: `http://127.0.0.1:${port()}/` }),
      channel('nats', { url: `nats://127.0.0.1:${port()}`, subject: 'notices' }),
    ]
    for (const target of targets) expect(await sender([])(accountId, notice(), target)).toEqual({ state: 'refused', receipt: 'address-refused' })
    expect([inside.hooks, post.mails]).toEqual([[], []])
  })
})

test('a name is resolved once, and that address is dialled: what it becomes afterwards does not matter', async () => {
  let asked = 0
  // The first answer may be reached and is where nobody listens; every later one is the receiver inside.
  const send = sender(['127.0.0.2/32'], async () => [{ address: ++asked === 1 ? '127.0.0.2' : '127.0.0.1' }])
  expect(await send(accountId, notice(), hook(`http://turning.example:${port()}/`))).toEqual({ state: 'refused', receipt: 'ECONNREFUSED' })
  expect([asked, inside.hooks]).toEqual([1, []])
})

test.each([301, 302, 303, 307, 308])('a redirect (%i) is followed nowhere', async (status) => {
  const target = await createHookReceiver()
  await target.start()
  inside.answer({ status, headers: { location: target.url } })
  expect(await sender(local)(accountId, notice(), hook(inside.url))).toEqual({ state: 'refused', receipt: `http ${status}` })
  expect([inside.hooks.length, target.hooks]).toEqual([1, []])
  await target.stop()
})

test('a receiver that answers without end, or with words, is not listened to', async () => {
  inside.answer({ status: 200, body: 'x'.repeat(5_000_000) })
  const began = performance.now()
  expect(await sender(local)(accountId, notice(), hook(inside.url))).toEqual({ state: 'delivered', receipt: 'http 200' })
  expect(performance.now() - began).toBeLessThan(5_000)
  inside.answer({ status: 500, body: 'secrets of the inside' })
  expect(await sender(local)(accountId, notice(), hook(inside.url))).toEqual({ state: 'refused', receipt: 'http 500' })
})

test('a receiver that hangs, or says one byte a second, is left after 10 s', async () => {
  const drip = await dripping()
  inside.answer('hang')
  const began = performance.now()
  const { port: slow } = drip.address() as AddressInfo
  const outcomes = await Promise.all([
    sender(local)(accountId, notice(), hook(inside.url)),
    sender(local)(accountId, notice(), hook(`http://127.0.0.1:${slow}/`)),
    sender(local)(accountId, notice(), channel('smtp', { url: `smtp://127.0.0.1:${slow}` }, 'mia@acme.example')),
    sender(local)(accountId, notice(), channel('nats', { url: `nats://127.0.0.1:${slow}`, subject: 'notices' })),
  ])
  expect(outcomes.every(({ state }) => state === 'refused')).toBe(true)
  expect([outcomes[0]?.receipt, outcomes[2]?.receipt]).toEqual(['timeout', 'timeout'])
  expect(performance.now() - began).toBeLessThan(15_000)
  drip.close()
})

test('an address that is silent leaves time for the others of its name', async () => {
  const silent = createServer((socket) => socket.on('error', () => {}).resume())
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.2', resolve))
  const { port } = silent.address() as AddressInfo
  // It never begins with TLS; at the second address nobody listens.
  const send = sender(local, async () => [{ address: '127.0.0.2' }, { address: '127.0.0.1' }])
  expect(await send(accountId, notice(), hook(`https://two.example:${port}/`))).toEqual({ state: 'refused', receipt: 'ECONNREFUSED' })
  const connections = () => new Promise<number>((resolve) => silent.getConnections((_, count) => resolve(count)))
  await vi.waitFor(async () => expect(await connections()).toBe(0), 1_000)
  silent.close()
})

/** Takes connections and answers each with a letter now and then. */
async function dripping(): Promise<Server> {
  const server = createServer((socket) => {
    const timer = setInterval(() => socket.write('2'), 500)
    socket.on('error', () => {}).on('close', () => clearInterval(timer))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

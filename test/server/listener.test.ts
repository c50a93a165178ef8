import { once } from 'node:events'
import type { Server } from 'node:http'
import { connect as connectPlain, type AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { connect, type TLSSocket } from 'node:tls'
import type { HttpBindings } from '@hono/node-server'
import { Hono } from 'hono'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { App } from '#api/app.ts'
import { readBody } from '#api/body.ts'
import { listen } from '#server/listener.ts'
import { createAuthority, issue } from '#stack/certificates.ts'

test('a TLS listener asks callers for a certificate, shows it to the API and judges none', async () => {
  const authority = await createAuthority('ours')
  const app = new Hono<{ Bindings: HttpBindings }>()
  app.get('/peer', ({ env, text }) => text((env.incoming.socket as TLSSocket).getPeerX509Certificate()?.subject ?? 'nobody'))
  const server = await listen((app as unknown as App).fetch, { host: '127.0.0.1', port: 0, shared: false }, await issue(authority, ['127.0.0.1']))
  const ask = async (own: object): Promise<string | undefined> => {
    const socket = connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, ca: authority.cert, ...own })
    socket.write('GET /peer HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
    const [answer] = (await once(socket, 'data')) as [Buffer]
    socket.destroy()
    return answer.toString().split('\r\n\r\n')[1]
  }
  expect(await ask({})).toBe('nobody')
  expect(await ask(await issue(await createAuthority('somebody else'), ['caller']))).toBe('CN=caller')
  await new Promise((resolve) => server.close(resolve).closeAllConnections())
})

describe('a plain listener', () => {
  const limits = {
    maxHeaderSize: 16_384,
    requireHostHeader: false,
    keepAliveTimeout: 65_000,
    headersTimeout: 300,
    requestTimeout: 600,
    connectionsCheckingInterval: 50,
  }
  let server: Server
  let failed: unknown
  beforeAll(async () => {
    const app = new Hono()
    app.post('/body', async ({ req, body }) => {
      const read = await readBody(req.raw).catch((error: unknown) => (failed = error))
      return body(typeof read === 'string' ? read : 'unread')
    })
    server = await listen((app as unknown as App).fetch, { host: '127.0.0.1', port: 0, shared: false }, undefined, limits)
  })
  afterAll(() => new Promise((resolve) => server.close(resolve).closeAllConnections()))
  /** Everything that comes back until the listener hangs up. */
  const send = async (bytes: string): Promise<string> => {
    const socket = connectPlain((server.address() as AddressInfo).port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(bytes)
    return text(socket)
  }
  const head = 'POST /body HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n'

  test.each([
    ['what is no HTTP', 'hello\r\n\r\n', '400'],
    ['a request without Host', 'GET / HTTP/1.1\r\nconnection: close\r\n\r\n', '400'],
    ['a Host that is none', 'GET / HTTP/1.1\r\nhost: a/b c\r\nconnection: close\r\n\r\n', '400'],
    ['an expectation', `${head}expect: the impossible\r\n\r\n`, '417'],
    ['a body of two lengths', `${head}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`, '400'],
    ['more than 16 KiB of headers', `${head}x-long: ${'x'.repeat(16_384)}\r\n\r\n`, '431'],
    ['headers that do not end', 'POST /body HTTP/1.1\r\nhost: x\r\n', '408'],
    ['a body that does not end', `${head}content-length: 100\r\n\r\n{"a":`, '408'],
  ])('refuses %s with the headers of every answer, and hangs up', async (_what, bytes, status) => {
    const began = performance.now()
    const answer = await send(bytes)
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    for (const line of ['x-content-type-options: nosniff', 'cache-control: no-store', "content-security-policy: default-src 'none'"])
      expect(answer).toContain(line)
    expect(answer).not.toMatch(/^server:/im)
    expect(performance.now() - began).toBeLessThan(2_000)
  })

  test('a body that never ends is no error of ours to whoever reads it', async () => {
    failed = undefined
    await send(`${head}content-length: 100\r\n\r\n{"a":`)
    await expect.poll(() => failed).toMatchObject({ code: 'invalid-request' })
  })

  test('takes a body that comes in time', async () => {
    expect(await send(`${head}content-length: 7\r\n\r\n{"a":1}`)).toMatch(/^HTTP\/1.1 200 [^]*\{"a":1\}$/)
  })
})

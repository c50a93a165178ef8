import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import type { HttpBindings } from '@hono/node-server'
import { Hono } from 'hono'
import { expect, test } from 'vitest'
import type { App } from '#api/app.ts'
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

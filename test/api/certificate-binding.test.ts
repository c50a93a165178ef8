import { X509Certificate, createHash } from 'node:crypto'
import { request, type RequestOptions } from 'node:https'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { listen, type Certificate } from '#server/listener.ts'
import { createAuthority, issue, type Authority } from '#stack/certificates.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startApi, type TestApi } from './support.ts'

let api: TestApi
let database: TestDatabase
let server: Server
let authority: Authority
let own: Certificate
let other: Certificate
beforeAll(async () => {
  database = await createTestDatabase()
  api = await startApi(database, {}, { audienceFallback: false })
  authority = await createAuthority('ours')
  own = await issue(await createAuthority('somebody'), ['client'])
  other = await issue(await createAuthority('somebody else'), ['client'])
  server = await listen(api.app.fetch, { host: '127.0.0.1', port: 0, shared: false }, await issue(authority, ['127.0.0.1']))
})
afterAll(async () => {
  await new Promise((resolve) => server?.close(resolve).closeAllConnections())
  await api?.stop()
  await database?.end()
})

const thumbprint = ({ cert }: Certificate): string => createHash('sha256').update(new X509Certificate(cert).raw).digest('base64url')
const bound = (to: Certificate) => api.issuer.token('mia', { cnf: { 'x5t#S256': thumbprint(to) } })

/** One request over a TLS connection of its own. */
async function ask(token: string, options: RequestOptions, headers: Record<string, string> = {}): Promise<{ status: number; code?: string }> {
  const response = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
    request(
      {
        host: '127.0.0.1',
        port: (server.address() as AddressInfo).port,
        path: '/v1/me',
        ca: authority.cert,
        agent: false,
        headers: { authorization: `Bearer ${token}`, ...headers },
        ...options,
      },
      resolve,
    )
      .on('error', reject)
      .end()
  })
  const body = (await json(response)) as { code?: string }
  return { status: response.statusCode ?? 0, ...(body.code === undefined ? {} : { code: body.code }) }
}

describe('an access token that is bound to a client certificate (RFC 8705)', () => {
  test('is taken from whoever shows that certificate in the handshake of this very connection', async () => {
    expect(await ask(await bound(own), own)).toEqual({ status: 200 })
  })

  test.each([
    ['without a certificate', () => ({}), {}],
    ['with another certificate', () => other, {}],
    ['with the certificate in a header only', () => ({}), 'header'],
  ])('is refused %s', async (_, connection, header) => {
    const headers = header === 'header' ? { 'x-forwarded-client-cert': encodeURIComponent(own.cert), 'x-ssl-client-cert': encodeURIComponent(own.cert) } : {}
    expect(await ask(await bound(own), connection(), headers)).toEqual({ status: 401, code: 'invalid-token' })
  })

  test('is the only kind besides DPoP that counts where tokens must be bound: showing a certificate binds nothing', async () => {
    expect(await ask(await api.issuer.token('mia'), own)).toEqual({ status: 401, code: 'invalid-token' })
  })
})

test('the listener speaks TLS 1.3 and nothing older', async () => {
  await expect(ask(await bound(own), { ...own, maxVersion: 'TLSv1.2' })).rejects.toMatchObject({ code: expect.stringMatching(/SSL|TLS|EPROTO|ECONNRESET/) })
})

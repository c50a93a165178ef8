import { createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { JWTPayload } from 'jose'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startApi, type TestApi } from './support.ts'

let api: TestApi
let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
  api = await startApi(database)
})
afterAll(async () => {
  await api?.stop()
  await database?.end()
})

const me = (authorization: string | null, headers: Record<string, string> = {}) =>
  api.call(null, 'GET', '/v1/me', { headers: { ...(authorization === null ? {} : { authorization }), ...headers } })
const now = (): number => Math.floor(Date.now() / 1_000)

describe('access tokens (RFC 9068)', () => {
  test('a good one tells who the caller is', async () => {
    const { status, body } = await me(`Bearer ${await api.issuer.token('sam')}`)
    expect(status).toBe(200)
    expect(body).toMatchObject({
      user: { sub: 'sam', name: 'Sam Operator' },
      account: { name: 'acme' },
      owner: false,
      permissions: expect.arrayContaining(['pam_vaults.view']),
    })
  })

  const bad: readonly (readonly [what: string, claims: () => JWTPayload, header?: Record<string, unknown>])[] = [
    ['is expired', () => ({ iat: now() - 400, exp: now() - 100 })],
    ['is for another audience', () => ({ aud: 'https://other.example' })],
    ['has no audience', () => ({ aud: undefined as never })],
    ['is of another issuer', () => ({ iss: 'https://other.example' })],
    ['is of the issuer with a slash', () => ({ iss: `${api.issuer.url}/` })],
    ['lives longer than 15 minutes', () => ({ exp: now() + 901 })],
    ['never ends', () => ({ exp: undefined as never })],
    ['is from the future', () => ({ iat: now() + 3_600, exp: now() + 3_700 })],
    ['does not hold yet', () => ({ nbf: now() + 100 })],
    ['has no subject', () => ({ sub: undefined as never })],
    ['is an ID token', () => ({}), { typ: 'JWT' }],
    ['is a DPoP proof', () => ({}), { typ: 'dpop+jwt' }],
    ['is signed by an unknown key', () => ({}), { kid: 'k2' }],
    ['is bound to a client certificate that the connection does not show', () => ({ cnf: { 'x5t#S256': 'abc' } })],
    ['is bound to two keys', () => ({ cnf: { jkt: 'abc', 'x5t#S256': 'abc' } })],
    ['is bound by a method that nobody knows', () => ({ cnf: { x: 'abc' } })],
    ['was given to another client than it says', () => ({ azp: 'another' })],
  ]
  test.each(bad.map(([what, claims, header]) => ({ what, claims, header })))('one that $what is refused', async ({ claims, header }) => {
    const { status, body, headers } = await me(`Bearer ${await api.issuer.token('sam', claims(), header)}`)
    expect([status, body.code]).toEqual([401, 'invalid-token'])
    expect(headers.get('www-authenticate')).toContain('error="invalid_token"')
  })

  test('none, a forged one, respelled ones and other schemes are refused', async () => {
    const good = await api.issuer.token('sam')
    const [head, payload] = good.split('.')
    const unsigned = `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${payload}.`
    const spellings = [`${good}==`, `${good}\n`.trimEnd() + '=', `${head}.${payload}.`, unsigned, `${unsigned}x`, 'x', '']
    for (const header of [
      null,
      `Bearer ${await api.issuer.forged('sam')}`,
      `Basic ${good}`,
      `Bearer ${good} ${good}`,
      `DPoP ${good}`,
      ...spellings.map((token) => `Bearer ${token}`),
    ]) {
      expect([header, (await me(header)).status]).toEqual([header, 401])
    }
  })

  test('a person of nobody here is forbidden, whatever the token says', async () => {
    const { status, body } = await me(`Bearer ${await api.issuer.token('nobody', { email: 'sam@acme.example' })}`)
    expect([status, body.code]).toEqual([403, 'forbidden'])
  })

  test('unknown key ids do not make us fetch keys again and again', async () => {
    const before = api.issuer.fetches()
    for (let index = 0; index < 20; index += 1) await me(`Bearer ${await api.issuer.token('sam', {}, { kid: `k-${index}` })}`)
    expect(api.issuer.fetches() - before).toBeLessThanOrEqual(1)
  })

  test('a refused login of a known person is on record', async () => {
    await me(`Bearer ${await api.issuer.token('sam', { iat: now() - 400, exp: now() - 100 })}`, { 'x-correlation-id': 'refused-login-1' })
    const { body } = await api.call('mia', 'GET', '/v1/audit/events?correlationId=refused-login-1')
    expect(body.items).toMatchObject([{ action: 'authentication.refused', effect: 'deny', outcome: 'invalid-token', actor: { kind: 'user', sub: 'sam' } }])
  })
})

test('a header of which there must be one is refused when it comes twice, whichever of the two is good', async () => {
  const server = createServer(getRequestListener(api.app.fetch))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const good = `Bearer ${await api.issuer.token('sam')}`
  const ask = (authorization: string[]): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const headers = { authorization } as unknown as Record<string, string>
      get({ port: (server.address() as AddressInfo).port, path: '/v1/me', headers }, (response) => resolve(response.resume().statusCode)).once('error', reject)
    })
  expect([await ask([good]), await ask([good, 'Bearer x']), await ask(['Bearer x', good]), await ask([good, good])]).toEqual([200, 400, 400, 400])
  server.close()
})

describe('an issuer that does not answer', () => {
  test('503 names it within 2 s, and nobody gets in', async () => {
    const other = await startApi(database)
    await other.issuer.stop()
    const started = performance.now()
    const { status, body, headers } = await other.call('sam', 'GET', '/v1/me')
    expect([status, body.code, body.role, headers.get('retry-after')]).toEqual([503, 'dependency-unavailable', 'oidc', '2'])
    expect(performance.now() - started).toBeLessThan(2_000)
    await other.stop()
  })

  test('many first requests fetch its keys once', async () => {
    const other = await startApi(database)
    const answers = await Promise.all(Array.from({ length: 20 }, () => other.call('sam', 'GET', '/v1/me')))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    expect(other.issuer.fetches()).toBe(1)
    await other.stop()
  })
})

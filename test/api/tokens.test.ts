import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { JWTPayload } from 'jose'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createProofKey, type ProofKey } from './issuer.ts'
import { apiUrl, startApi, type TestApi } from './support.ts'

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
    ['is bound to a client certificate that we cannot see', () => ({ cnf: { 'x5t#S256': 'abc' } })],
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

describe('tokens bound to a key (RFC 9449)', () => {
  let key: ProofKey
  let token: string
  beforeAll(async () => {
    key = await createProofKey()
    token = await api.issuer.token('sam', { cnf: { jkt: key.jkt } })
  })
  const withProof = async (proof: string | Promise<string>, scheme = 'DPoP') => me(`${scheme} ${token}`, { dpop: await proof })

  test('a proof of the key lets it pass', async () => {
    expect((await withProof(key.proof(token, 'GET', `${apiUrl}/v1/me`))).status).toBe(200)
    expect((await withProof(key.proof(token, 'GET', 'HTTPS://LEASEHOLD.example:443/v1/me'))).status).toBe(200)
  })

  test('without a proof, or as a bearer token, it is refused', async () => {
    expect((await me(`DPoP ${token}`)).body.code).toBe('invalid-dpop-proof')
    expect((await withProof(key.proof(token, 'GET', `${apiUrl}/v1/me`), 'Bearer')).body.code).toBe('invalid-token')
  })

  test('where only bound tokens are let in, one that is bound to nothing is refused, and a bound one passes', async () => {
    const { config } = api.parts
    const strict = await startApi(database, { config: { ...config, bearerTokens: false } })
    const ask = (headers: Record<string, string>) => strict.call(null, 'GET', '/v1/me', { headers })
    const bearer = await ask({ authorization: `Bearer ${await api.issuer.token('sam')}` })
    expect([bearer.status, bearer.body.code]).toEqual([401, 'invalid-token'])
    const proof = await key.proof(token, 'GET', `${apiUrl}/v1/me`)
    expect((await ask({ authorization: `DPoP ${token}`, dpop: proof })).status).toBe(200)
    await strict.stop()
  })

  const url = `${apiUrl}/v1/me`
  const bad: readonly (readonly [string, () => Promise<string>])[] = [
    ['for another method', () => key.proof(token, 'POST', url)],
    ['for another path', () => key.proof(token, 'GET', `${apiUrl}/v1/leases`)],
    ['for another host', () => key.proof(token, 'GET', 'https://other.example/v1/me')],
    ['with a user in its URL', () => key.proof(token, 'GET', 'https://x@leasehold.example/v1/me')],
    ['for another token', () => key.proof('other', 'GET', url)],
    ['without the hash of the token', () => key.proof(token, 'GET', url, { ath: undefined as never })],
    ['from an hour ago', () => key.proof(token, 'GET', url, { iat: now() - 3_600 })],
    ['from the future', () => key.proof(token, 'GET', url, { iat: now() + 3_600 })],
    ['without an id', () => key.proof(token, 'GET', url, { jti: undefined as never })],
    ['of another type', () => key.proof(token, 'GET', url, {}, { typ: 'JWT' })],
    ['by another key', async () => (await createProofKey()).proof(token, 'GET', url)],
    ['that comes twice', async () => `${await key.proof(token, 'GET', url)}, ${await key.proof(token, 'GET', url)}`],
    ['that is none', async () => 'x.y.z'],
  ]
  test.each(bad)('a proof %s is refused', async (_, proof) => {
    const { status, body, headers } = await withProof(proof())
    expect([status, body.code]).toEqual([401, 'invalid-dpop-proof'])
    expect(headers.get('www-authenticate')).toMatch(/^DPoP error="invalid_dpop_proof"/)
  })
})

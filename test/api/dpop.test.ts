import { createHash, createSecretKey, randomBytes, randomUUID } from 'node:crypto'
import { SignJWT, type JWTPayload } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createNonces } from '#api/dpop-nonce.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createProofKey, type ProofKey } from './issuer.ts'
import { apiUrl, startApi, type Answer, type TestApi } from './support.ts'

/** Tokens that are bound to a key (RFC 9449). The numbers D1 to D21 are the duties of a resource server that it lists. */

let database: TestDatabase
let api: TestApi
let key: ProofKey
let token: string
beforeAll(async () => {
  database = await createTestDatabase()
  api = await startApi(database)
  key = await createProofKey()
  token = await api.issuer.token('sam', { cnf: { jkt: key.jkt } })
})
afterAll(async () => {
  await api?.stop()
  await database?.end()
})

const url = `${apiUrl}/v1/me`
const now = (): number => Math.floor(Date.now() / 1_000)
const call = (headers: Record<string, string>, to: TestApi = api): Promise<Answer> => to.call(null, 'GET', '/v1/me', { headers })
const withProof = (proof: string, authorization = `DPoP ${token}`, to: TestApi = api) => call({ authorization, dpop: proof }, to)
const good = (claims: JWTPayload = {}, header: Record<string, unknown> = {}) => key.proof(token, 'GET', url, claims, header)

describe('a proof of the key', () => {
  const accepted: readonly (readonly [string, () => Promise<string>])[] = [
    ['D1-D8, D12, D13 for this very request', () => good()],
    ['D9 whose URL is spelled in capitals with the default port', () => key.proof(token, 'GET', 'HTTPS://LEASEHOLD.example:443/v1/me')],
    ['D9 whose URL has a query and a fragment', () => key.proof(token, 'GET', `${url}?x=1#y`)],
    ['D10 with a nonce of ours', () => good({ nonce: api.parts.nonces.current() })],
    ['D11 that is 10 s old', () => good({ iat: now() - 10 })],
    ['D11 that is 8 s early', () => good({ iat: now() + 8 })],
    ['D20 with claims that nobody knows', () => good({ extra: { deep: true } })],
  ]
  test.each(accepted)('%s lets the token pass', async (_, proof) => {
    expect((await withProof(await proof())).status).toBe(200)
  })

  test('what the issuer says of the key besides its thumbprint is ignored (RFC 7800)', async () => {
    const bound = await api.issuer.token('sam', { cnf: { jkt: key.jkt, 'x-kind': 'DPoP' } })
    expect((await withProof(await key.proof(bound, 'GET', url), `DPoP ${bound}`)).status).toBe(200)
    expect((await call({ authorization: `Bearer ${bound}` })).body.code).toBe('invalid-token')
  })

  const bytes = (length: number): string => randomBytes(length).toString('base64url')
  const refused: readonly (readonly [string, () => Promise<string>])[] = [
    ['D1 that comes twice', async () => `${await good()}, ${await good()}`],
    ['D2 that is none', async () => 'x.y.z'],
    ['D2 in JSON', async () => JSON.stringify({ protected: 'x', payload: 'y', signature: 'z' })],
    ['D3 without jti', () => good({ jti: undefined as never })],
    ['D3 without htm', () => good({ htm: undefined })],
    ['D3 without htu', () => good({ htu: undefined })],
    ['D3 without iat', () => good({ iat: undefined as never })],
    ['D3 without ath', () => good({ ath: undefined })],
    ['D4 of another type', () => good({}, { typ: 'JWT' })],
    ['D4 without a type', () => good({}, { typ: undefined })],
    ['D5 without an algorithm', async () => `${part({ alg: 'none', typ: 'dpop+jwt' })}.${(await good()).split('.')[1]}.${bytes(64)}`],
    ['D5 by a shared secret', () => symmetric()],
    ['D6 whose signature is another one', async () => (await good()).replace(/[^.]+$/, bytes(64))],
    ['D6 whose claims were changed after it was signed', async () => (await good()).replace(/\.[^.]+\./, `.${part({ htm: 'GET', htu: url })}.`)],
    ['D7 that shows its private key', () => key.revealing(token, 'GET', url)],
    ['D7 without a key', () => good({}, { jwk: undefined })],
    ['D8 for another method', () => key.proof(token, 'POST', url)],
    ['D8 for this method in small letters', () => key.proof(token, 'get', url)],
    ['D9 for another path', () => key.proof(token, 'GET', `${apiUrl}/v1/leases`)],
    ['D9 for a path with a slash more', () => key.proof(token, 'GET', `${url}/`)],
    ['D9 for another host', () => key.proof(token, 'GET', 'https://other.example/v1/me')],
    ['D9 for another port', () => key.proof(token, 'GET', 'https://leasehold.example:8443/v1/me')],
    ['D9 for another scheme', () => key.proof(token, 'GET', 'http://leasehold.example/v1/me')],
    ['D9 with a user in its URL', () => key.proof(token, 'GET', 'https://x@leasehold.example/v1/me')],
    ['D11 from an hour ago', () => good({ iat: now() - 3_600 })],
    ['D11 for in an hour', () => good({ iat: now() + 3_600 })],
    ['D11 whose time is a text', () => good({ iat: String(now()) as never })],
    ['D12 for another token', () => key.proof('other', 'GET', url)],
    ['D13 by another key', async () => (await createProofKey()).proof(token, 'GET', url)],
    ['D19 whose jti is empty', () => good({ jti: '' })],
    ['D19 whose jti has 257 characters', () => good({ jti: 'x'.repeat(257) })],
    ['D19 whose jti is a number', () => good({ jti: 7 as never })],
  ]
  test.each(refused)('%s is refused', async (_, proof) => {
    const { status, body, headers } = await withProof(await proof())
    expect([status, body.code]).toEqual([401, 'invalid-dpop-proof'])
    expect(headers.get('www-authenticate')).toMatch(/^DPoP error="invalid_dpop_proof", algs="[A-Z0-9 a-z]+"$/)
  })

  test('D12 is tied to the token by the hash of the RFC', () => {
    const example = 'Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU'
    expect(createHash('sha256').update(example).digest('base64url')).toBe('fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo')
  })

  test('D9 is judged by our own public URL, whatever the headers of the request say', async () => {
    const forwarded = { host: 'other.example', 'x-forwarded-host': 'other.example', 'x-forwarded-proto': 'http', forwarded: 'host=other.example' }
    const proof = await key.proof(token, 'GET', 'https://other.example/v1/me')
    expect((await call({ ...forwarded, authorization: `DPoP ${token}`, dpop: proof })).status).toBe(401)
    expect((await call({ ...forwarded, authorization: `DPoP ${token}`, dpop: await good() })).status).toBe(200)
  })

  test('D14, D15, D18 nothing else lets a bound token pass: no proof, as a bearer token, in another header', async () => {
    expect((await call({ authorization: `DPoP ${token}` })).body.code).toBe('invalid-dpop-proof')
    expect((await withProof(await good(), `Bearer ${token}`)).body.code).toBe('invalid-token')
    expect((await call({ 'proxy-authorization': `DPoP ${token}`, dpop: await good() })).body.code).toBe('invalid-token')
    const free = await api.issuer.token('sam')
    expect((await call({ authorization: `DPoP ${free}`, dpop: await key.proof(free, 'GET', url) })).body.code).toBe('invalid-token')
  })

  test('D21 both schemes at once are no request', async () => {
    const { status, body } = await call({ authorization: `Bearer ${token}, DPoP ${token}`, dpop: await good() })
    expect([status, body.code]).toEqual([400, 'invalid-request'])
  })
})

describe('D19 a proof is used once', () => {
  test('sent 100 times at once to 4 replicas it passes once, also after all of them started anew', async () => {
    const replicas = await Promise.all(Array.from({ length: 4 }, () => replica()))
    const proof = await good()
    const answers = await Promise.all(Array.from({ length: 100 }, (_, index) => withProof(proof, undefined, replicas[index % 4])))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(new Set(answers.map(({ status, body }) => (status === 200 ? 'passed' : body.code)))).toEqual(new Set(['passed', 'invalid-dpop-proof']))
    expect((await withProof(proof, undefined, await replica())).status).toBe(401)
  })

  test('respelled it is not another one', async () => {
    const proof = await good()
    expect((await withProof(proof)).status).toBe(200)
    const [head, payload, signature] = proof.split('.') as [string, string, string]
    const last = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const spellings = [...last].map((character) => `${head}.${payload}.${signature.slice(0, -1)}${character}`)
    for (const spelling of [...spellings, `${proof}==`, `${proof}=`, ` ${proof}`, `${head}.${payload} .${signature}`]) {
      expect([spelling, (await withProof(spelling)).status]).toEqual([spelling, 401])
    }
  })

  test('another jti, or the same jti by another key, is another proof', async () => {
    const jti = randomUUID()
    const other = await createProofKey()
    const theirs = await api.issuer.token('ola', { cnf: { jkt: other.jkt } })
    expect((await withProof(await good({ jti }))).status).toBe(200)
    expect((await withProof(await good({ jti: `${jti}2` }))).status).toBe(200)
    expect((await withProof(await other.proof(theirs, 'GET', url, { jti }), `DPoP ${theirs}`)).status).toBe(200)
    expect((await withProof(await good({ jti }))).status).toBe(401)
  })
})

describe('where nonces are required (D10, D16, D17)', () => {
  let strict: TestApi
  beforeAll(async () => {
    strict = await replica({ dpopNonceRequired: true })
  })

  test('a proof without one is told which to use, once, and then passes', async () => {
    const asked = await withProof(await good(), undefined, strict)
    expect([asked.status, asked.body.code]).toEqual([401, 'use-dpop-nonce'])
    expect(asked.headers.get('www-authenticate')).toMatch(/^DPoP error="use_dpop_nonce"/)
    expect(asked.headers.get('cache-control')).toBe('no-store')
    const nonce = asked.headers.get('dpop-nonce')
    expect(nonce).toMatch(/^[\w-]{24}$/)
    const answer = await withProof(await good({ nonce }), undefined, strict)
    expect([answer.status, answer.headers.get('dpop-nonce')]).toEqual([200, nonce])
  })

  test.each(['', 'x', 'A'.repeat(24), 7, null])('one that is not ours is refused: %s', async (nonce) => {
    expect((await withProof(await good({ nonce }), undefined, strict)).body.code).toBe('use-dpop-nonce')
    // Also where none is asked for: a nonce that is there must be right.
    expect((await withProof(await good({ nonce }))).body.code).toBe('use-dpop-nonce')
  })

  test('one is believed for its minute and the next, and the same in every replica', () => {
    const secret = createSecretKey(randomBytes(32))
    let time = 1_800_000_000_000
    const [one, other] = [createNonces(secret, () => time), createNonces(secret, () => time)]
    const nonce = one.current()
    expect(other.accepts(nonce)).toBe(true)
    time += 60_000
    expect([other.current() === nonce, other.accepts(nonce)]).toEqual([false, true])
    time += 60_000
    expect(other.accepts(nonce)).toBe(false)
    expect(createNonces(createSecretKey(randomBytes(32)), () => time).accepts(one.current())).toBe(false)
  })
})

describe('where tokens must be bound', () => {
  test('a bearer token is refused', async () => {
    const strict = await replica({ audienceFallback: false })
    const free = await api.issuer.token('sam')
    expect((await call({ authorization: `Bearer ${free}` }, strict)).body.code).toBe('invalid-token')
    expect((await withProof(await good(), undefined, strict)).status).toBe(200)
  })
})

/** Another process of the same installation. */
async function replica(config: Partial<TestApi['parts']['config']> = {}): Promise<TestApi> {
  return { ...(await startApi(database, { ...shared(), config: { ...api.parts.config, ...config } })), issuer: api.issuer }
}

const shared = (): Partial<TestApi['parts']> => ({ nonces: api.parts.nonces, db: database.as('leasehold_api', 8) })

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

const symmetric = (): Promise<string> =>
  new SignJWT({ htm: 'GET', htu: url, jti: randomUUID(), iat: now(), ath: createHash('sha256').update(token).digest('base64url') })
    .setProtectedHeader({ alg: 'HS256', typ: 'dpop+jwt', jwk: { kty: 'oct', k: 'c2VjcmV0' } as object })
    .sign(randomBytes(32))

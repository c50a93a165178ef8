import { createUser } from '@nats-io/nkeys'
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { JoinAnswer } from '#schemas/connector-message.ts'
import { createOrganizationSecrets } from '#secrets/organization-secret.ts'
import { createTransit } from '#secrets/transit.ts'
import { createVaultKeys } from '#secrets/vault-keys.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startOpenBao, type TestOpenBao } from '../support/openbao.ts'
import { startApi, type Answer, type TestApi } from './support.ts'

let database: TestDatabase
let bao: TestOpenBao
let api: TestApi
let organizationId: string

const register = (sub = 'ola', headers = {}, name: string = randomUUID()): Promise<Answer> =>
  api.call(sub, 'POST', '/v1/connectors', { body: { organizationId, name }, headers })
const keys = () => ({ nkey: createUser().getPublicKey(), encryptionJwk: { kty: 'OKP', crv: 'X25519', x: 'A'.repeat(43), kid: 'k1' } })
const join = (body: object): Promise<Answer> => api.call(null, 'POST', '/v1/connectors/join', { body })
/** What the bridge does with the duty that a join leaves. */
const mint = (id: string) => database.superuser(`update connector set state = 'active', user_jwt = 'minted' where id = $1`, [id])

beforeAll(async () => {
  database = await createTestDatabase()
  bao = await startOpenBao()
  const ours = bao.as('leasehold-api')
  const organizationSecrets = createOrganizationSecrets(ours)
  api = await startApi(database, {
    organizationSecrets,
    vaultKeys: createVaultKeys(organizationSecrets),
    signingKeys: () => createTransit(ours).jwks('connector-signing'),
  })
  organizationId = (await api.call('ola', 'POST', '/v1/organizations', { body: { name: 'main' } })).body.id
}, 60_000)
afterAll(async () => {
  await api?.stop()
  await bao?.stop()
  await database?.end()
})

describe('a connector', () => {
  test('is registered with a join token that is shown to nobody else', async () => {
    const made = await register()
    expect([made.status, made.body]).toEqual([
      201,
      expect.objectContaining({ organizationId, state: 'pending', online: false, joinToken: expect.stringMatching(/^lhj_[\w-]{86}$/) }),
    ])
    const minutes = (Date.parse(made.body.joinTokenExpiresAt) - Date.now()) / 60_000
    expect(minutes).toBeGreaterThan(14)
    expect(minutes).toBeLessThanOrEqual(15.1)
    for (const path of [`/v1/connectors/${made.body.id}`, '/v1/connectors']) expect((await api.call('ola', 'GET', path)).text).not.toContain('lhj_')
  })

  test('is registered once per Idempotency-Key; a lost answer is repeated with another token', async () => {
    const headers = { 'idempotency-key': randomUUID() }
    const name = randomUUID()
    const [first, second] = [await register('ola', headers, name), await register('ola', headers, name)]
    expect(second.body.id).toBe(first.body.id)
    expect((await join({ token: first.body.joinToken, ...keys() })).status).toBe(401)
    expect((await join({ token: second.body.joinToken, ...keys() })).status).toBe(202)
    expect((await register('ola', headers, name)).body).toMatchObject({ id: first.body.id, joinToken: null, state: 'joining' })
  })

  test('joins with its token: 202 until its identity is minted, then all that it needs to connect', async () => {
    const {
      body: { id, joinToken: token },
    } = await register()
    const request = { token, ...keys() }
    const waiting = await join(request)
    expect([waiting.status, waiting.body.state, waiting.headers.get('retry-after')]).toEqual([202, 'joining', '1'])
    await mint(id)
    const done = await join(request)
    expect(done.status).toBe(200)
    expect(JoinAnswer.parse(done.body)).toMatchObject({ connectorId: id, organizationId, userJwt: 'minted', natsUrl: 'nats://127.0.0.1:4222' })
    expect((await join({ ...request, ...keys() })).status).toBe(401)
    const again = await api.call('ola', 'POST', `/v1/connectors/${id}/join-tokens`, { body: {} })
    expect((await join({ ...request, token: again.body.joinToken })).body.userJwt).toBe('minted')
  })

  test('gets another token; the older one ends', async () => {
    const {
      body: { id, joinToken },
    } = await register()
    const fresh = await api.call('ola', 'POST', `/v1/connectors/${id}/join-tokens`, { body: {} })
    expect([fresh.status, Object.keys(fresh.body)]).toEqual([201, ['joinToken', 'joinTokenExpiresAt']])
    expect((await join({ token: joinToken, ...keys() })).status).toBe(401)
    expect((await join({ token: fresh.body.joinToken, ...keys() })).status).toBe(202)
  })

  test('is deregistered: 202, never joins again, and stays visible as revoked', async () => {
    const {
      body: { id, joinToken },
    } = await register()
    const revoked = await api.call('ola', 'DELETE', `/v1/connectors/${id}`)
    expect([revoked.status, revoked.body.state, revoked.headers.get('location')]).toEqual([202, 'revoked', `/v1/connectors/${id}`])
    expect((await join({ token: joinToken, ...keys() })).status).toBe(401)
    expect((await api.call('ola', 'GET', `/v1/connectors/${id}`)).body.state).toBe('revoked')
    expect((await api.call('ola', 'DELETE', `/v1/connectors/${id}`)).status).toBe(202)
    const token = await api.call('ola', 'POST', `/v1/connectors/${id}/join-tokens`, { body: {} })
    expect([token.status, token.body.code]).toEqual([409, 'connector-revoked'])
  })

  test('is managed only with connectors.manage, and never by another account', async () => {
    const {
      body: { id },
    } = await register()
    expect((await register('sam')).status).toBe(403)
    expect((await register('gus')).status).toBe(404)
    for (const [sub, status] of [
      ['sam', 403],
      ['gus', 404],
    ] as const) {
      expect((await api.call(sub, 'DELETE', `/v1/connectors/${id}`)).status).toBe(status)
      expect((await api.call(sub, 'POST', `/v1/connectors/${id}/join-tokens`, { body: {} })).status).toBe(status)
    }
  })
})

describe('a join', () => {
  test('with any wrong token answers the same', async () => {
    const {
      body: { joinToken },
    } = await register()
    const headers = { traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01` }
    const other = joinToken.slice(0, -6) + (joinToken.endsWith('AAAAAA') ? 'BBBBBB' : 'AAAAAA')
    const texts = new Set<string>()
    for (const token of ['x', `lhj_${'A'.repeat(86)}`, other]) {
      const { status, text } = await api.call(null, 'POST', '/v1/connectors/join', { body: { token, ...keys() }, headers })
      expect(status).toBe(401)
      texts.add(text)
    }
    expect([...texts]).toEqual([expect.stringContaining('invalid-join-token')])
  })

  test.each([
    ['a key of another kind', { nkey: `A${'A'.repeat(55)}` }, 'nkey'],
    ['a mistyped key', { nkey: `U${'A'.repeat(55)}` }, 'nkey'],
    ['a private key', { encryptionJwk: { ...keys().encryptionJwk, d: 'A'.repeat(43) } }, 'encryptionJwk.d'],
    ['a NUL in the key id', { encryptionJwk: { ...keys().encryptionJwk, kid: 'a\u0000' } }, 'encryptionJwk.kid'],
    ['another curve', { encryptionJwk: { ...keys().encryptionJwk, crv: 'Ed25519' } }, 'encryptionJwk.crv'],
    ['an unknown field', { admin: true }, 'admin'],
  ])('is refused with %s, and the token can still be used', async (_what, more, path) => {
    const {
      body: { joinToken: token },
    } = await register()
    const refused = await join({ token, ...keys(), ...more })
    expect([refused.status, refused.body.errors?.[0]?.path]).toEqual([422, path])
    expect((await join({ token, ...keys() })).status).toBe(202)
  })
})

describe('an address', () => {
  test('has as many wrong join tokens a minute as failures are configured', async () => {
    const rates = { perSecond: 50, burst: 100, failuresPerMinute: 20 }
    const strict = await startApi(database, {}, { rates })
    const statuses: number[] = []
    for (let turn = 0; turn < 21; turn += 1) statuses.push((await strict.call(null, 'POST', '/v1/connectors/join', { body: { token: 'x', ...keys() } })).status)
    expect(statuses).toEqual([...Array(20).fill(401), 429])
    await strict.stop()
  })
})

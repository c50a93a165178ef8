import { randomUUID } from 'node:crypto'
import { decodeJwt } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { listenForAnswer } from '#cli/loopback.ts'
import { acme } from '#stack/people.ts'
import { createProofKey } from '../api/issuer.ts'
import { promises } from './promises.ts'
import type { TestProvider } from './provider.ts'
import { createSecurityKey } from './security-key.ts'
import { startKeycloak } from './server.ts'
import { createProviderWorld, type ProviderWorld } from './world.ts'

let provider: TestProvider | undefined
let missing: string | undefined
let world: ProviderWorld
// Where it has to be fetched and built first, that takes the longest.
beforeAll(async () => {
  const started = await startKeycloak()
  if (typeof started === 'string') {
    missing = started
    return
  }
  provider = started
  world = await createProviderWorld(provider)
}, 600_000)
afterAll(async () => {
  await world?.stop()
  await provider?.stop()
})
beforeEach((context) => context.skip(missing !== undefined, missing))

describe('with Keycloak', () => promises(() => world))

describe('the realm of deploy/keycloak', () => {
  const challenge = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'
  const verifier = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
  const endpoint = (name: string): string => `${world.provider.issuer}/protocol/openid-connect/${name}`
  const authorize = (parameters: Record<string, string>): string => {
    const usual = { client_id: 'leasehold-cli', response_type: 'code', scope: 'openid leasehold', code_challenge: challenge, code_challenge_method: 'S256' }
    return `${endpoint('auth')}?${new URLSearchParams({ ...usual, redirect_uri: 'http://127.0.0.1:9/callback', ...parameters })}`
  }
  const post = async (url: string, form: Record<string, string>, headers = {}): Promise<readonly [status: number, error: string | undefined]> => {
    const response = await fetch(url, { method: 'POST', headers, body: new URLSearchParams({ client_id: 'leasehold-cli', ...form }) })
    const { error } = (await response.json().catch(() => ({}))) as { error?: string }
    return [response.status, error]
  }
  /** Where the issuer sends a browser that nobody has logged in with yet; null: it shows a page. */
  const sentTo = async (url: string): Promise<readonly [status: number, error: string | null | undefined]> => {
    const response = await fetch(url, { redirect: 'manual' })
    await response.body?.cancel()
    const to = response.headers.get('location')
    return [response.status, to === null ? undefined : new URL(to).searchParams.get('error')]
  }

  test("knows no other way to a token than a code: no passwords, devices, backchannels, fragments or clients of one's own", async () => {
    const { password, username } = world.provider.person.knows(false) as { username: string; password: string }
    const dpop = await (await createProofKey()).proof('', 'POST', endpoint('token'), { ath: undefined })
    expect(await post(endpoint('token'), { grant_type: 'password', username, password }, { dpop })).toEqual([400, 'unauthorized_client'])
    expect((await post(endpoint('auth/device'), { scope: 'openid' }, { dpop }))[0]).not.toBe(200)
    expect((await post(endpoint('ext/ciba/auth'), { scope: 'openid', login_hint: username }))[0]).not.toBe(200)
    const registration = {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ redirect_uris: ['http://127.0.0.1/callback'] }),
    }
    expect((await fetch(`${world.provider.issuer}/clients-registrations/openid-connect`, registration)).status).toBe(403)
    expect(await sentTo(authorize({ response_type: 'token', nonce: 'x', response_mode: 'query' }))).toEqual([302, expect.any(String)])
    const discovery = await (await fetch(`${world.provider.issuer}/.well-known/openid-configuration`)).json()
    expect((discovery as { grant_types_supported: string[] }).grant_types_supported.join()).not.toMatch(/ciba|device/)
  })

  test('gives no code without PKCE by SHA-256, and sends it to the loopback callback only', async () => {
    expect(await sentTo(authorize({}))).toEqual([200, undefined])
    expect(await sentTo(authorize({ redirect_uri: 'http://127.0.0.1:40404/callback' }))).toEqual([200, undefined])
    expect(await sentTo(authorize({ code_challenge: '', code_challenge_method: '' }))).toEqual([302, 'invalid_request'])
    expect(await sentTo(authorize({ code_challenge: verifier, code_challenge_method: 'plain' }))).toEqual([302, 'invalid_request'])
    for (const redirect_uri of ['http://127.0.0.1:9/other', 'https://other.example/callback', 'http://localhost:9/callback']) {
      expect([redirect_uri, ...(await sentTo(authorize({ redirect_uri })))]).toEqual([redirect_uri, 400, undefined])
    }
  })

  test('gives no token that is bound to no key', async () => {
    const state = randomUUID()
    const loopback = await listenForAnswer(state, 10_000)
    await world.browser().visit(authorize({ redirect_uri: loopback.redirectUri, state }), world.provider.person.knows(false))
    const code = (await loopback.answer).searchParams.get('code') ?? ''
    loopback.close()
    const form = { grant_type: 'authorization_code', code, redirect_uri: loopback.redirectUri, code_verifier: verifier }
    expect(await post(endpoint('token'), form)).toEqual([400, 'invalid_request'])
  })

  test('takes a code only with the key that it was asked for with (RFC 9449 section 10)', async () => {
    const change = ({ searchParams }: URL) => searchParams.set('dpop_jkt', 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs')
    await expect(world.logIn(world.browser(), { change })).rejects.toThrow(/responded with an error/)
  })

  test('a token without the scope leasehold opens nothing here; with it the groups are told by their whole path', async () => {
    const browser = world.browser()
    const other = await world.logIn(browser, { change: ({ searchParams }) => searchParams.set('scope', 'openid email') })
    expect([decodeJwt(other.accessToken).aud, (await world.ask(other, '/v1/me')).body['code']]).toEqual([undefined, 'invalid-token'])
    const { groups, exp = 0, iat = 0 } = decodeJwt((await world.logIn(browser)).accessToken)
    expect([groups, exp - iat]).toEqual([['/operators/night'], 300])
  })

  test('the console is a client of its own at the address of the API', async () => {
    const console = (redirect_uri: string) => sentTo(authorize({ client_id: 'leasehold-console', redirect_uri }))
    expect(await console('https://api:7443/console/callback')).toEqual([200, undefined])
    expect((await console('https://other.example/console/callback'))[0]).toBe(400)
  })

  const keyFields = ['clientDataJSON', 'authenticatorData', 'signature', 'credentialId']
  const keyHolder = () => world.provider.keyHolder?.knows ?? expect.unreachable()

  test('a security key is a second factor too (WebAuthn), and only the right one', async () => {
    const strong = await world.logIn(world.browser(), { acr: 'mfa', knows: keyHolder() })
    expect(strong.asked).toEqual([['username', 'password'], keyFields])
    expect(decodeJwt(strong.accessToken)).toMatchObject({ acr: 'mfa', preferred_username: 'lea' })
    const stranger = createSecurityKey()
    const knows = (html: string) => {
      const { signature } = stranger.answer(html, 'http://127.0.0.1')
      return { ...keyHolder()(html), ...(signature === undefined ? {} : { signature }) }
    }
    await expect(world.logIn(world.browser(), { acr: 'mfa', knows })).rejects.toThrow(/the login ends with/)
  })

  test('both factors count for a while, and are asked for again where the login must be fresh', async () => {
    const [browser, knows] = [world.browser(), keyHolder()]
    const before = await world.logIn(browser, { acr: 'mfa', knows })
    expect((await world.logIn(browser, { acr: 'mfa', knows })).asked).toEqual([])
    await new Promise((resolve) => setTimeout(resolve, 2_100))
    const after = await world.logIn(browser, { acr: 'mfa', maxAge: 1, knows })
    expect(after.asked.flat()).toEqual(expect.arrayContaining(['password', 'signature']))
    expect(decodeJwt(after.accessToken)['auth_time']).toBeGreaterThan(decodeJwt(before.accessToken)['auth_time'] as number)
  })

  test('somebody new comes in by a verified address, with the rights of the group that Keycloak names', async () => {
    const lea = await world.logIn(world.browser(), { acr: 'mfa', knows: keyHolder() })
    expect((await world.ask(lea, '/v1/me')).body['code']).toBe('forbidden')
    const idpUserId = await world.make('/v1/idp-users', { email: 'lea@acme.example' })
    const group = { type: 'group', id: await world.make('/v1/idp-groups', { name: '/operators/night', source: 'claims' }) }
    const roleId = acme.users.find(({ sub }) => sub === 'sam')?.role.id
    await world.make(`/v1/roles/${roleId}/assignments`, { principal: group })
    await world.make(`/v1/identity-groups/${world.vaultId}/grants`, { principal: group, level: 'checkout' })
    expect((await world.ask(lea, '/v1/me')).body).toMatchObject({
      user: { idpUserId, email: 'lea@acme.example' },
      grants: [{ identityGroupId: world.vaultId }],
    })
    const done = await world.ask(lea, `/v1/identities/${world.identityId}/checkout`, { reason: 'night shift', durationMinutes: 30 })
    expect([done.status, done.body]).toMatchObject([201, { credential: { value: 'password of ledger' } }])
  })

  test('a one-time code is taken once', async () => {
    const [state, known] = [randomUUID(), world.provider.person.knows(true)]
    const loopback = await listenForAnswer(state, 10_000)
    const strong = authorize({ redirect_uri: loopback.redirectUri, state, acr_values: 'mfa' })
    expect((await world.browser().visit(strong, known)).text).toMatch(/^Thank you/)
    const again = await world.browser().visit(strong, known)
    loopback.close()
    expect([again.asked.at(-1), again.url.startsWith(world.provider.issuer)]).toEqual([['otp'], true])
  })
})

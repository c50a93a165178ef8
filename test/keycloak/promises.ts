import { randomUUID } from 'node:crypto'
import { calculateJwkThumbprint, decodeJwt, decodeProtectedHeader, exportJWK, generateKeyPair } from 'jose'
import { expect, test } from 'vitest'
import type { LoggedIn, ProviderWorld } from './world.ts'

const checkout = { reason: 'deploy 42', durationMinutes: 30 }
const errorOf = ({ status, body }: { status: number; body: Record<string, unknown> }) => [status, body['code']]

/** What holds with every identity provider. */
export function promises(world: () => ProviderWorld): void {
  let login: LoggedIn

  test('a login of the command line is one at the API', async () => {
    login = await world().logIn(world().browser(), { acr: 'pwd' })
    expect(login.asked).toEqual([['username', 'password']])
    expect(decodeProtectedHeader(login.accessToken)).toMatchObject({ typ: 'at+jwt', alg: 'ES256' })
    expect(decodeJwt(login.accessToken)).toMatchObject({
      iss: world().provider.issuer,
      sub: world().provider.person.sub,
      client_id: 'leasehold-cli',
      acr: 'pwd',
      auth_time: expect.any(Number),
      email_verified: true,
      cnf: { jkt: await calculateJwkThumbprint(await exportJWK(login.dpopKey.publicKey)) },
    })
    const { status, body } = await world().ask(login, '/v1/me')
    expect([status, body]).toMatchObject([200, { user: { iss: world().provider.issuer, sub: world().provider.person.sub } }])
  })

  test('its token is worth nothing without its key, with another key, or as an ID token', async () => {
    const bearer = await fetch(`${world().api}/v1/me`, { headers: { authorization: `Bearer ${login.accessToken}` } })
    expect([bearer.status, ((await bearer.json()) as { code: string }).code]).toEqual([401, 'invalid-token'])
    const other = await generateKeyPair('ES256', { extractable: true })
    expect(errorOf(await world().ask({ ...login, dpopKey: other }, '/v1/me'))).toEqual([401, 'invalid-dpop-proof'])
    expect(errorOf(await world().ask({ ...login, accessToken: login.idToken }, '/v1/me'))).toEqual([401, 'invalid-token'])
    expect((await world().ask(login, '/v1/me')).status).toBe(200)
  })

  test('its token is refused by an API of another audience', async () => {
    const refused = await world().ask(login, '/v1/me', undefined, undefined, world().otherApi)
    expect(errorOf(refused)).toEqual([401, 'invalid-token'])
  })

  test('a checkout asks for a second factor, and the same call passes after a login with one', async () => {
    const browser = world().browser()
    const [path, key] = [`/v1/identities/${world().identityId}/checkout`, randomUUID()]
    const weak = await world().logIn(browser, { acr: 'pwd' })
    const refused = await world().ask(weak, path, checkout, key)
    expect(errorOf(refused)).toEqual([401, 'insufficient-user-authentication'])
    const [, wanted] = /DPoP error="insufficient_user_authentication", acr_values="(\w+)"/.exec(refused.headers.get('www-authenticate') ?? '') ?? []
    const strong = await world().logIn(browser, { acr: wanted ?? expect.unreachable() })
    expect(strong.asked.flat().some((field) => field === 'otp' || field === 'totp')).toBe(true)
    expect(decodeJwt(strong.accessToken)['acr']).toBe('mfa')
    const done = await world().ask(strong, path, checkout, key)
    expect([done.status, done.body]).toMatchObject([201, { credential: { value: 'password of ledger' } }])
    expect(errorOf(await world().ask(weak, path, checkout, key))).toEqual([401, 'insufficient-user-authentication'])
  })

  test('a login that must be fresh asks for the password again', async () => {
    const browser = world().browser()
    const before = await world().logIn(browser)
    expect((await world().logIn(browser)).asked).toEqual([])
    await new Promise((resolve) => setTimeout(resolve, 2_100))
    const after = await world().logIn(browser, { maxAge: 1 })
    expect(after.asked.flat()).toContain('password')
    expect(decodeJwt(after.accessToken)['auth_time']).toBeGreaterThan(decodeJwt(before.accessToken)['auth_time'] as number)
  })
}

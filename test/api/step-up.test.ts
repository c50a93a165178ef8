import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { acme } from '#stack/people.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
let identity: string
beforeAll(async () => {
  world = await createApiWorld()
  identity = await world.addIdentity('stepped', { allowConcurrentCheckout: true, maxConcurrentSessions: 9 })
})
afterAll(() => world?.end())

const now = (): number => Math.floor(Date.now() / 1_000)
const login = async (sub: string, acr: string, age = 0) => ({ authorization: `Bearer ${await world.issuer.token(sub, { acr, auth_time: now() - age })}` })
const ask = (headers: Record<string, string>) => world.post('sam', `/v1/identities/${identity}/checkout`, { reason: 'deploy 42', durationMinutes: 30 }, headers)
const reveal = (headers: Record<string, string>) => world.post('sam', `/v1/identities/${identity}/reveal`, {}, headers)
const set = (body: Record<string, unknown>) => world.call('mia', 'PUT', `/v1/organizations/${world.organizationId}/step-up`, { body })

describe('a login that is too weak or too old (RFC 9470)', () => {
  test('is asked for by name where the organization wants a stronger one, on record, and the same call passes after it', async () => {
    expect((await ask(await login('sam', 'pwd'))).status).toBe(201)
    expect((await set({ checkout: { acr: 'mfa', maxAgeSeconds: null } })).body).toMatchObject({
      checkout: { acr: 'mfa', source: 'organization' },
      reveal: { source: 'default' },
    })
    const key = { 'idempotency-key': 'the-same-call', 'x-correlation-id': 'too-weak-1' }
    const refused = await ask({ ...key, ...(await login('sam', 'pwd')) })
    expect([refused.status, refused.body.code, refused.body.acrValues]).toEqual([401, 'insufficient-user-authentication', 'mfa'])
    expect(refused.headers.get('www-authenticate')).toMatch(
      /^Bearer error="insufficient_user_authentication", acr_values="mfa", DPoP error="insufficient_user_authentication"/,
    )
    const { body } = await world.call('axe', 'GET', '/v1/audit/events?correlationId=too-weak-1')
    expect(body.items).toMatchObject([{ action: 'identity.checkout', effect: 'deny', outcome: 'insufficient-user-authentication' }])
    expect((await ask({ ...key, ...(await login('sam', 'mfa')) })).status).toBe(201)
    expect((await reveal(await login('sam', 'pwd'))).status).toBe(200)
    await set({ checkout: null })
    expect((await ask(await login('sam', 'pwd'))).status).toBe(201)
  })

  test('is asked for again when it is older than the organization wants', async () => {
    await set({ reveal: { acr: null, maxAgeSeconds: 300 } })
    const refused = await reveal(await login('sam', 'mfa', 320))
    expect([refused.status, refused.body.maxAgeSeconds]).toEqual([401, 300])
    expect(refused.headers.get('www-authenticate')).toContain('max_age="300"')
    expect((await reveal(await login('sam', 'pwd', 10))).status).toBe(200)
    await set({ reveal: null })
  })

  test('does not administer anything, whoever it is', async () => {
    const change = (headers: Record<string, string>) =>
      world.call('mia', 'PUT', `/v1/organizations/${world.organizationId}/step-up`, { body: { reveal: null }, headers })
    expect((await change(await login('mia', 'pwd'))).body.code).toBe('insufficient-user-authentication')
    expect((await change(await login('mia', 'mfa'))).status).toBe(200)
  })

  test('neither extends a lease, nor gives the value to others, by grant or by a move to where less is asked', async () => {
    const { lease } = (await ask(await login('sam', 'mfa'))).body
    const elsewhere = (await world.post('mia', '/v1/organizations', { name: 'asks for less' })).body.id
    await world.call('mia', 'PUT', `/v1/organizations/${elsewhere}/secret`, { body: {} })
    const vault = (await world.post('mia', '/v1/identity-groups', { organizationId: elsewhere, name: 'there' })).body.id
    const moved = await world.addIdentity('to be moved')
    await set({ checkout: { acr: 'mfa', maxAgeSeconds: null } })
    const weak = await login('mia', 'pwd')
    const principal = { type: 'user', id: acme.users.find(({ sub }) => sub === 'vic')?.idpId }
    const answers = [
      await world.post('sam', `/v1/leases/${lease.id}/extend`, { minutes: 5 }, await login('sam', 'pwd')),
      await world.post('mia', `/v1/identity-groups/${world.vaultId}/grants`, { principal, level: 'checkout' }, weak),
      await world.post('mia', `/v1/identities/${moved}/move`, { identityGroupId: vault }, weak),
      await world.call('mia', 'PATCH', `/v1/identities/${moved}`, { body: { identityGroupId: vault }, headers: weak }),
    ]
    expect(answers.map(({ body }) => body.code)).toEqual(answers.map(() => 'insufficient-user-authentication'))
    expect((await world.post('mia', `/v1/identities/${moved}/move`, { identityGroupId: vault }, await login('mia', 'mfa'))).status).toBe(200)
    await set({ checkout: null })
  })

  test('tells those who may not do it anyway only that', async () => {
    await set({ checkout: { acr: 'mfa', maxAgeSeconds: null } })
    const headers = await login('vic', 'pwd')
    expect((await world.post('vic', `/v1/identities/${identity}/checkout`, { reason: 'x', durationMinutes: 30 }, headers)).status).toBe(403)
    await set({ checkout: null })
  })

  test('a rule that no login could ever fulfil is refused', async () => {
    const { status, body } = await set({ checkout: { acr: 'unheard-of', maxAgeSeconds: null } })
    expect([status, body.errors]).toEqual([422, [{ path: 'checkout.acr', message: 'must be one of pwd, mfa' }]])
    expect((await set({ reveal: { acr: null, maxAgeSeconds: 29 } })).status).toBe(422)
  })
})

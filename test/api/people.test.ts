import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { idpOf, peopleCalls, roleOf } from './people-calls.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
beforeAll(async () => {
  world = await createApiWorld()
})
afterAll(() => world?.end())

const { made, as } = peopleCalls(() => world)
const verified = (email: string): Record<string, unknown> => ({ email, email_verified: true })

describe('the first login of somebody', () => {
  test('with the verified address of a directory record is let in, with what was given to the record, and is linked for good', async () => {
    const email = `Nia.${randomUUID()}@acme.example`
    const idpUserId = await made('ola', '/v1/idp-users', { email, name: 'Nia' })
    await made('ola', `/v1/roles/${roleOf('vic')}/assignments`, { principal: { type: 'user', id: idpUserId } })
    await made('ola', `/v1/identity-groups/${world.vaultId}/grants`, { principal: { type: 'user', id: idpUserId }, level: 'checkout' })
    const me = await as('nia', verified(email.toUpperCase()))
    expect(me.body).toMatchObject({ user: { sub: 'nia', idpUserId }, permissions: ['pam_vaults.view'], grants: [{ identityGroupId: world.vaultId }] })
    expect((await world.call('axe', 'GET', '/v1/audit/events?action=user.linked')).body.items).toMatchObject([{ actor: { sub: 'nia' } }])
    // From now on (iss, sub) alone counts: another address changes nothing, and the address brings nobody else in.
    expect((await as('nia', verified('else@acme.example'))).body.user.idpUserId).toBe(idpUserId)
    expect((await as('mallory', verified(email))).status).toBe(403)
  })

  test('many times at once is one user', async () => {
    const email = `${randomUUID()}@acme.example`
    await made('ola', '/v1/idp-users', { email })
    const answers = await Promise.all(Array.from({ length: 8 }, () => as(`many-${email}`, verified(email))))
    expect(new Set(answers.map(({ status, body }) => `${status} ${body.user?.id}`)).size).toBe(1)
    expect(answers[0]?.status).toBe(200)
  })

  test.each([
    ['an address that nobody verified', (email: string) => ({ email })],
    ['an address that is said to be unverified', (email: string) => ({ email, email_verified: false })],
    ['a verified that is a word', (email: string) => ({ email, email_verified: 'true' })],
    ['no address', () => ({})],
    ['letters that fold to those of the address', (email: string) => verified(email.replace('k', '\u212a'))],
  ])('with %s is refused', async (_, claims) => {
    const email = `k${randomUUID()}@acme.example`
    await made('ola', '/v1/idp-users', { email })
    expect((await as(`stranger-${randomUUID()}`, claims(email))).status).toBe(403)
  })

  test('that two accounts wait for is let into neither', async () => {
    const email = `${randomUUID()}@both.example`
    for (const owner of ['mia', 'gus']) await made(owner, '/v1/idp-users', { email })
    expect((await as(`both-${randomUUID()}`, verified(email))).status).toBe(403)
  })

  test('of a client without an address works by its sub, which an admin names', async () => {
    const sub = `client-${randomUUID()}`
    expect((await as(sub, {})).status).toBe(403)
    const id = await made('ola', '/v1/users', { sub, name: 'Nightly job' })
    await made('ola', `/v1/roles/${roleOf('vic')}/assignments`, { principal: { type: 'user', id } })
    const me = await as(sub, {})
    expect(me.body).toMatchObject({ user: { id, idpUserId: null }, permissions: ['pam_vaults.view'] })
    expect((await world.post('gus', '/v1/users', { sub })).status).toBe(409)
  })

  test('of a user without a record who brings a verified address gets the record that waits for it', async () => {
    const [sub, email] = [`late-${randomUUID()}`, `${randomUUID()}@acme.example`]
    await made('ola', '/v1/users', { sub })
    expect((await as(sub, verified(email))).body.user.idpUserId).toBeNull()
    const idpUserId = await made('ola', '/v1/idp-users', { email })
    expect((await as(sub, verified(email))).body.user.idpUserId).toBe(idpUserId)
  })
})

describe('a group', () => {
  test('gives its members what it has, and takes it back at the next request; open leases end', async () => {
    const group = await made('ola', '/v1/idp-groups', { name: `ops ${randomUUID()}` })
    const vault = await made('ola', '/v1/identity-groups', { organizationId: world.organizationId, name: `group vault ${randomUUID()}` })
    const identity = await made('ola', '/v1/identities', {
      identityGroupId: vault,
      name: 'app',
      username: 'app',
      credentialType: 'password',
      credential: 'secret',
    })
    await made('ola', `/v1/identity-groups/${vault}/grants`, { principal: { type: 'group', id: group }, level: 'checkout' })
    const ask = () => world.post('vic', `/v1/identities/${identity}/checkout`, { reason: 'deploy', durationMinutes: 30 })
    expect((await ask()).status).toBe(403)
    const member = `/v1/idp-groups/${group}/members/${idpOf('vic')}`
    expect((await world.call('ola', 'PUT', member)).status).toBe(204)
    const { lease } = (await ask()).body
    expect((await world.call('ola', 'GET', `/v1/idp-groups/${group}/members`)).body.items).toMatchObject([{ idpUserId: idpOf('vic') }])
    expect((await world.call('ola', 'DELETE', member)).status).toBe(204)
    expect((await ask()).status).toBe(403)
    expect((await world.call('ola', 'GET', `/v1/leases/${lease.id}`)).body.lease).toMatchObject({ state: 'ended', endCause: 'grant_ended' })
    expect((await world.call('ola', 'DELETE', member)).status).toBe(204)
  })

  test('that is deleted takes its grants and roles with it', async () => {
    const group = await made('ola', '/v1/idp-groups', { name: `gone ${randomUUID()}` })
    const role = await made('ola', '/v1/roles', { name: `audit ${randomUUID()}`, permissions: ['pam_audit.view'] })
    await made('ola', `/v1/roles/${role}/assignments`, { principal: { type: 'group', id: group } })
    await world.call('ola', 'PUT', `/v1/idp-groups/${group}/members/${idpOf('vic')}`)
    expect((await world.call('vic', 'GET', '/v1/me')).body.permissions).toContain('pam_audit.view')
    expect((await world.call('ola', 'DELETE', `/v1/roles/${role}`)).body.code).toBe('in-use')
    expect((await world.call('ola', 'DELETE', `/v1/idp-groups/${group}`)).status).toBe(204)
    expect((await world.call('vic', 'GET', '/v1/me')).body.permissions).toEqual(['pam_vaults.view'])
    expect((await world.call('ola', 'DELETE', `/v1/roles/${role}`)).status).toBe(204)
    expect((await world.call('ola', 'GET', `/v1/idp-groups/${group}`)).status).toBe(404)
  })

  test('with source claims follows the newest token, never an older one; a token that says nothing of groups says none; nobody adds to it by hand', async () => {
    const name = `claimed ${randomUUID()}`
    const group = await made('mia', '/v1/idp-groups', { name, source: 'claims' })
    const role = await made('ola', '/v1/roles', { name: `r ${name}`, permissions: ['pam_audit.view'] })
    await made('mia', `/v1/roles/${role}/assignments`, { principal: { type: 'group', id: group } })
    const now = Math.floor(Date.now() / 1_000)
    const permissionsOf = async (claims: Record<string, unknown>): Promise<string[]> => (await as('vic', claims)).body.permissions
    expect(await permissionsOf({ iat: now - 60, groups: [name, 'something else', 7, '\u0000'] })).toContain('pam_audit.view')
    expect(await permissionsOf({ iat: now - 30, groups: [] })).toEqual(['pam_vaults.view'])
    expect(await permissionsOf({ iat: now - 40, groups: [name] })).toEqual(['pam_vaults.view'])
    expect(await permissionsOf({ iat: now - 25, groups: [name] })).toContain('pam_audit.view')
    expect(await permissionsOf({ iat: now - 20 })).toEqual(['pam_vaults.view'])
    for (const [ago, groups] of [
      [15, 'not a list'],
      [10, Array.from({ length: 1_001 }, (_, index) => (index === 0 ? name : `${index}`))],
    ] as const) {
      await permissionsOf({ iat: now - ago - 1, groups: [name] })
      expect(await permissionsOf({ iat: now - ago, groups })).toEqual(['pam_vaults.view'])
    }
    expect((await world.call('mia', 'PUT', `/v1/idp-groups/${group}/members/${idpOf('vic')}`)).body.code).toBe('members-follow-claims')
    expect((await world.call('axe', 'GET', '/v1/audit/events?action=user.groups_followed')).body.items.length).toBeGreaterThanOrEqual(8)
  })

  test('with source claims is a matter of owners: whoever asks may be in it by their next token', async () => {
    const name = `next token ${randomUUID()}`
    const group = await made('mia', '/v1/idp-groups', { name, source: 'claims' })
    const answers = [
      await world.post('ola', '/v1/idp-groups', { name: `mine ${name}`, source: 'claims' }),
      await world.call('ola', 'PATCH', `/v1/idp-groups/${group}`, { body: { name: 'another name' } }),
      await world.call('ola', 'DELETE', `/v1/idp-groups/${group}`),
      await world.post('ola', `/v1/roles/${roleOf('axe')}/assignments`, { principal: { type: 'group', id: group } }),
      await world.post('ola', `/v1/identity-groups/${world.vaultId}/grants`, { principal: { type: 'group', id: group }, level: 'checkout' }),
    ]
    expect(answers.map(({ status, body }) => [status, body.missing])).toEqual(answers.map(() => [403, expect.stringContaining('to be an owner')]))
  })
})

describe('a directory record that is disabled', () => {
  test('counts no longer from the next request on, and its leases end', async () => {
    const [sub, email] = [`dana-${randomUUID()}`, `${randomUUID()}@acme.example`]
    const id = await made('ola', '/v1/idp-users', { email })
    await made('ola', `/v1/roles/${roleOf('vic')}/assignments`, { principal: { type: 'user', id } })
    await made('ola', `/v1/identity-groups/${world.vaultId}/grants`, { principal: { type: 'user', id }, level: 'checkout' })
    const identity = await world.addIdentity(`of ${sub}`)
    const authorization = `Bearer ${await world.issuer.token(sub, verified(email))}`
    const checkout = () =>
      world.call(null, 'POST', `/v1/identities/${identity}/checkout`, {
        headers: { authorization, 'idempotency-key': randomUUID() },
        body: { reason: 'x', durationMinutes: 5 },
      })
    const { lease } = (await checkout()).body
    expect((await world.call('ola', 'PATCH', `/v1/idp-users/${id}`, { body: { state: 'disabled' } })).status).toBe(200)
    expect((await checkout()).status).toBe(404)
    expect((await world.call('ola', 'GET', `/v1/leases/${lease.id}`)).body.lease.state).toBe('ended')
    expect((await world.call('ola', 'PATCH', `/v1/idp-users/${id}`, { body: { email: 'x@y.example' } })).status).toBe(422)
  })
})

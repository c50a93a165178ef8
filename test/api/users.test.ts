import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { acme } from '#stack/people.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
beforeAll(async () => {
  world = await createApiWorld()
})
afterAll(() => world?.end())

const idOf = (sub: string): string => acme.users.find((user) => user.sub === sub)?.id ?? ''
const setState = (by: string, sub: string, state: string) => world.call(by, 'PATCH', `/v1/users/${idOf(sub)}`, { body: { state } })

describe('a user', () => {
  test('who is disabled is refused at the next request, their leases end, and both are on record; enabled again they are let in', async () => {
    const identity = await world.addIdentity('held by sam')
    const ask = () => world.post('sam', `/v1/identities/${identity}/checkout`, { reason: 'deploy 42', durationMinutes: 30 })
    const { lease } = (await ask()).body
    expect((await setState('ola', 'sam', 'disabled')).body).toMatchObject({ sub: 'sam', state: 'disabled' })
    expect((await ask()).status).toBe(403)
    expect((await world.call('ola', 'GET', `/v1/leases/${lease.id}`)).body.lease).toMatchObject({ state: 'ended', endCause: 'revoked' })
    expect((await world.call('axe', 'GET', '/v1/audit/events?action=user.disabled')).body.items).toMatchObject([{ actor: { sub: 'ola' } }])
    expect((await setState('ola', 'sam', 'active')).status).toBe(200)
    expect((await ask()).status).toBe(201)
  })

  test('is disabled by nobody who may not, and another account sees none of them', async () => {
    expect((await setState('sam', 'vic', 'disabled')).status).toBe(404)
    expect((await setState('axe', 'vic', 'disabled')).status).toBe(403)
    expect((await setState('gus', 'vic', 'disabled')).status).toBe(404)
    expect((await world.call('gus', 'GET', '/v1/users')).body.items).toMatchObject([{ sub: 'gus' }])
    expect((await world.call('vic', 'GET', '/v1/users')).status).toBe(403)
  })

  test('who is the last owner stays, also when two owners disable each other at once', async () => {
    const { body } = await setState('mia', 'mia', 'disabled')
    expect([body.code, body.status]).toEqual(['last-owner', 409])
    const role = acme.users.find((user) => user.sub === 'mia')?.role.id
    await world.database.superuser(`insert into role_assignment (account_id, role_id, user_id) values ($1, $2, $3)`, [acme.id, role, idOf('ola')])
    const answers = await Promise.all([setState('mia', 'ola', 'disabled'), setState('ola', 'mia', 'disabled')])
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    const { rows } = await world.database.superuser(`select count(*)::int as owners from account_user where sub in ('mia', 'ola') and state = 'active'`)
    expect(rows).toEqual([{ owners: 1 }])
  })
})

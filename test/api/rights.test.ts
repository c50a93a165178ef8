import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { acme, globex } from '#stack/people.ts'
import { AccountId } from '#schemas/ids.ts'
import { inAccount } from '#store/connection.ts'
import { hold, untilWaiting } from '../support/hold.ts'
import { idpOf, peopleCalls, roleOf } from './people-calls.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
beforeAll(async () => {
  world = await createApiWorld()
})
afterAll(() => world?.end())

const { made, as } = peopleCalls(() => world)

describe('rights', () => {
  let role: string
  beforeEach(async () => {
    role = await made('mia', '/v1/roles', { name: `role ${randomUUID()}`, permissions: ['pam_audit.view'] })
  })
  const assign = (by: string, roleId: string, type: string, id: string, more = {}) =>
    world.post(by, `/v1/roles/${roleId}/assignments`, { principal: { type, id }, ...more })

  test('of a role that changes change with it at the next request', async () => {
    await assign('ola', role, 'user', idpOf('vic'))
    expect((await world.call('vic', 'GET', '/v1/me')).body.permissions).toContain('pam_audit.view')
    const { headers } = await world.call('ola', 'GET', `/v1/roles/${role}`)
    const change = (tag: string) =>
      world.call('ola', 'PATCH', `/v1/roles/${role}`, { body: { permissions: ['connectors.manage'] }, headers: { 'if-match': tag } })
    expect((await change('"99"')).status).toBe(412)
    expect((await change(headers.get('etag') ?? '')).status).toBe(200)
    const { permissions } = (await world.call('vic', 'GET', '/v1/me')).body
    expect(permissions).toContain('connectors.manage')
    expect(permissions).not.toContain('pam_audit.view')
  })

  test('are given by nobody to themselves: not by grant, role, group, a role of their own, or a record that waits for them', async () => {
    const group = await made('mia', '/v1/idp-groups', { name: `mine ${randomUUID()}` })
    await world.call('mia', 'PUT', `/v1/idp-groups/${group}/members/${idpOf('ola')}`)
    const other = await made('mia', '/v1/idp-groups', { name: `other ${randomUUID()}` })
    const grants = `/v1/identity-groups/${world.vaultId}/grants`
    const olaUser = acme.users.find((user) => user.sub === 'ola')?.id
    const attempts = [
      world.post('ola', grants, { principal: { type: 'user', id: idpOf('ola') }, level: 'checkout' }),
      world.post('ola', grants, { principal: { type: 'user', id: olaUser }, level: 'checkout' }),
      world.post('ola', grants, { principal: { type: 'group', id: group }, level: 'checkout' }),
      assign('ola', role, 'user', idpOf('ola')),
      assign('ola', role, 'user', olaUser ?? ''),
      assign('ola', role, 'group', group),
      world.call('ola', 'PUT', `/v1/idp-groups/${other}/members/${idpOf('ola')}`),
      world.call('ola', 'PATCH', `/v1/roles/${roleOf('ola')}`, { body: { permissions: ['pam_audit.view'] } }),
    ]
    for (const answer of await Promise.all(attempts)) expect([answer.status, answer.body.missing]).toEqual([403, expect.stringContaining('another person')])
    // A user without a record cannot make one that waits for their own address and give it rights.
    const [sub, email] = [`loner-${randomUUID()}`, `${randomUUID()}@acme.example`]
    const admin = await made('mia', '/v1/users', { sub })
    await assign('mia', roleOf('ola'), 'user', admin)
    const bait = (await as(sub, {}, 'POST', '/v1/idp-users', { email })).body.id
    const token = `Bearer ${await world.issuer.token(sub)}`
    const granted = await world.call(null, 'POST', grants, {
      headers: { authorization: token, 'idempotency-key': randomUUID() },
      body: { principal: { type: 'user', id: bait }, level: 'checkout' },
    })
    expect(granted.status).toBe(403)
  })

  test('are not given by whoever has lost theirs while the change waited', async () => {
    const sub = `late-${randomUUID()}`
    const admin = await made('mia', '/v1/users', { sub })
    const own = await made('mia', '/v1/roles', { name: `admin ${sub}`, permissions: ['organizations.manage'] })
    const assignment = await made('mia', `/v1/roles/${own}/assignments`, { principal: { type: 'user', id: admin } })
    const held = hold(
      (decide) => inAccount(world.parts.db, AccountId.parse(acme.id), decide),
      (trx) => sql`select from role where id = ${role}::uuid for update`.execute(trx),
    )
    await held.reached
    const pending = as(sub, {}, 'POST', `/v1/roles/${role}/assignments`, { principal: { type: 'user', id: idpOf('vic') } })
    await untilWaiting(world.database)
    expect((await world.call('mia', 'DELETE', `/v1/roles/${own}/assignments/${assignment}`)).status).toBe(204)
    held.go()
    await held.result
    expect((await pending).status).toBe(404)
    expect((await world.call('mia', 'GET', `/v1/roles/${role}/assignments`)).body.items).toEqual([])
  })

  test.each([
    ['approval_policy', '/v1/approval-policies', () => ({ identityGroupId: world.vaultId, required: false, steps: [{ approvers: [{ type: 'permission' }] }] })],
    ['notification_channel', '/v1/notification-channels', () => ({ name: randomUUID(), type: 'smtp', settings: {} })],
  ])('delete no %s for whoever has lost theirs while it waited', async (table, path, body) => {
    const sub = `late-${randomUUID()}`
    const admin = await made('mia', '/v1/users', { sub })
    const own = await made('mia', '/v1/roles', { name: `admin ${sub}`, permissions: ['organizations.manage'] })
    const assignment = await made('mia', `/v1/roles/${own}/assignments`, { principal: { type: 'user', id: admin } })
    const id = await made('mia', path, body())
    const held = hold(
      (decide) => inAccount(world.parts.db, AccountId.parse(acme.id), decide),
      (trx) => sql`select from ${sql.table(table)} where id = ${id}::uuid for update`.execute(trx),
    )
    await held.reached
    const pending = as(sub, {}, 'DELETE', `${path}/${id}`)
    await untilWaiting(world.database)
    expect((await world.call('mia', 'DELETE', `/v1/roles/${own}/assignments/${assignment}`)).status).toBe(204)
    held.go()
    await held.result
    expect((await pending).status).toBe(404)
    expect((await world.call('mia', 'GET', `${path}/${id}`)).status).toBe(200)
  })

  test('are not regained by whoever turns themselves off and on, and owners are matters of owners in every state', async () => {
    const state = (by: string, path: string, to: string) => world.call(by, 'PATCH', path, { body: { state: to } })
    const userOf = (sub: string) => `/v1/users/${acme.users.find((user) => user.sub === sub)?.id}`
    const record = (sub: string) => `/v1/idp-users/${idpOf(sub)}`
    for (const path of [record('ola'), userOf('ola'), record('mia'), userOf('mia')])
      expect([path, (await state('ola', path, 'disabled')).status]).toEqual([path, 403])
    // A role that a disabled record would hold is one's own all the same.
    await assign('mia', role, 'user', idpOf('ola'))
    expect((await state('mia', record('ola'), 'disabled')).status).toBe(200)
    expect((await world.call('ola', 'PATCH', `/v1/roles/${role}`, { body: { permissions: ['pam_audit.view', 'connectors.manage'] } })).status).toBe(403)
    expect((await state('ola', record('ola'), 'active')).status).toBe(403)
    expect((await state('mia', record('ola'), 'active')).status).toBe(200)
  })

  test('are compared by what an id is, not by how it is spelt', async () => {
    const own = roleOf('ola').toUpperCase()
    expect((await world.call('ola', 'PATCH', `/v1/roles/${own}`, { body: { permissions: ['pam_audit.view'] } })).status).toBe(403)
    const vault = (await world.post('mia', '/v1/identity-groups', { organizationId: world.organizationId.toUpperCase(), name: `spelt ${randomUUID()}` })).body
      .id
    const body = { identityGroupId: vault.toUpperCase(), name: 'spelt', username: 'x', credentialType: 'password', credential: 'as it was' }
    const identity = await made('mia', '/v1/identities', body)
    expect((await world.post('mia', `/v1/identities/${identity.toUpperCase()}/reveal`)).body.value).toBe('as it was')
  })

  test('of another account are out of reach: its roles, groups and people are not found', async () => {
    const gus = globex.users[0]
    const grants = `/v1/identity-groups/${world.vaultId}/grants`
    const answers = [
      await world.post('gus', grants, { principal: { type: 'user', id: gus?.idpId }, level: 'checkout' }),
      await world.call('gus', 'GET', `/v1/roles/${role}`),
      await world.call('gus', 'GET', `/v1/idp-users/${idpOf('sam')}`),
      await world.call('gus', 'PATCH', `/v1/idp-users/${idpOf('sam')}`, { body: { state: 'disabled' } }),
      await assign('gus', gus?.role.id ?? '', 'user', idpOf('sam')),
    ]
    expect(answers.map(({ status }) => status)).toEqual([404, 404, 404, 404, 404])
  })

  test('of owners are given and taken by owners alone, and the account always keeps one', async () => {
    const owner = roleOf('mia')
    expect((await assign('ola', owner, 'user', idpOf('vic'))).status).toBe(403)
    expect((await assign('mia', owner, 'user', idpOf('vic'), { organizationId: world.organizationId })).status).toBe(422)
    const claimed = await made('mia', '/v1/idp-groups', { name: `claimed owners ${randomUUID()}`, source: 'claims' })
    expect((await assign('mia', owner, 'group', claimed)).status).toBe(422)
    for (const [method, body] of [
      ['PATCH', { permissions: [] }],
      ['DELETE', undefined],
    ] as const) {
      expect((await world.call('mia', method, `/v1/roles/${owner}`, { body })).status).toBe(403)
    }
    // Two owners by two paths, each taking the other's right at once: one of them stays.
    const group = await made('mia', '/v1/idp-groups', { name: `owners ${randomUUID()}` })
    const second = (await assign('mia', owner, 'group', group)).body.id
    await world.call('mia', 'PUT', `/v1/idp-groups/${group}/members/${idpOf('ola')}`)
    expect((await world.call('ola', 'GET', '/v1/me')).body.owner).toBe(true)
    const { items } = (await world.call('mia', 'GET', `/v1/roles/${owner}/assignments`)).body
    const first = items.find((item: { principal: { type: string } }) => item.principal.type === 'user').id
    const paths = [
      () => world.call('ola', 'DELETE', `/v1/roles/${owner}/assignments/${first}`),
      () => world.call('mia', 'DELETE', `/v1/idp-groups/${group}/members/${idpOf('ola')}`),
    ]
    const answers = await Promise.all(paths.map((attempt) => attempt()))
    expect(answers.map(({ status }) => status).sort()).toEqual([204, 409].sort())
    expect(answers.find(({ status }) => status === 409)?.body.code).toBe('last-owner')
    const last = answers[0]?.status === 204 ? 'ola' : 'mia'
    for (const attempt of [
      () => world.call(last, 'DELETE', `/v1/roles/${owner}/assignments/${last === 'ola' ? second : first}`),
      () => world.call(last, 'DELETE', last === 'ola' ? `/v1/idp-groups/${group}` : `/v1/roles/${owner}/assignments/${first}`),
      () => world.call(last, 'PATCH', `/v1/idp-users/${last === 'ola' ? idpOf('ola') : idpOf('mia')}`, { body: { state: 'disabled' } }),
    ]) {
      const answer = await attempt()
      // Mia's role is her user's own: her record of the directory may go, the owner stays.
      if (last === 'mia' && answer.status === 200) continue
      expect([answer.status, answer.body?.code]).toEqual([409, 'last-owner'])
    }
    const accountOwner = await world.call('gus', 'GET', '/v1/me')
    expect(accountOwner.body.owner).toBe(true)
  })
})

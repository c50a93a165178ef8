import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { acme, globex } from '#stack/people.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { absent, startApi, type Answer, type TestApi } from './support.ts'

let database: TestDatabase
let api: TestApi
let organizationId: string
const traced = { traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01` }
const idpIdOf = (sub: string) => [...acme.users, ...globex.users].find((user) => user.sub === sub)?.idpId

const post = (path: string, body: object, sub = 'ola', headers = {}): Promise<Answer> => api.call(sub, 'POST', path, { body, headers })
const newVault = async (name: string = randomUUID()): Promise<string> => (await post('/v1/identity-groups', { organizationId, name })).body.id
const grant = (vaultId: string, sub: string, more: object = {}, by = 'ola'): Promise<Answer> =>
  post(`/v1/identity-groups/${vaultId}/grants`, { principal: { type: 'user', id: idpIdOf(sub) }, level: 'checkout', ...more }, by)

beforeAll(async () => {
  database = await createTestDatabase()
  api = await startApi(database)
  organizationId = (await post('/v1/organizations', { name: 'main' })).body.id
})
afterAll(async () => {
  await api?.stop()
  await database?.end()
})

describe('a vault', () => {
  test('is made, read, changed and deleted, each on record', async () => {
    const made = await post('/v1/identity-groups', { organizationId, name: 'crown jewels', description: 'words' })
    expect([made.status, made.body]).toEqual([201, expect.objectContaining({ organizationId, name: 'crown jewels', description: 'words', identities: 0 })])
    const path = `/v1/identity-groups/${made.body.id}`
    expect(made.headers.get('location')).toBe(path)
    expect((await api.call('vic', 'GET', path)).body).toEqual(made.body)
    const changed = await api.call('ola', 'PATCH', path, { body: { description: null } })
    expect([changed.status, changed.body.description, changed.headers.get('etag')]).toEqual([200, null, '"2"'])
    expect((await api.call('ola', 'DELETE', path, { headers: { 'if-match': '"1"' } })).status).toBe(412)
    const gone = await api.call('ola', 'DELETE', path)
    expect([gone.status, gone.text]).toEqual([204, ''])
    expect((await api.call('ola', 'GET', path)).status).toBe(404)
    const { rows } = await database.superuser('select action from audit_event where vault_id = $1 order by id', [made.body.id])
    expect(rows.map((row) => row.action)).toEqual(['vault.created', 'vault.changed', 'vault.deleted'])
  })

  test('that holds identities is not deleted, and says how many', async () => {
    const id = await newVault()
    const insert = `insert into identity (account_id, organization_id, vault_id, name, username, credential_type) values ($1, $2, $3, $4, 'app', 'password')`
    for (const name of ['one', 'two', 'three']) await database.superuser(insert, [acme.id, organizationId, id, name])
    const { status, body } = await api.call('ola', 'DELETE', `/v1/identity-groups/${id}`)
    expect([status, body.code, body.detail]).toEqual([409, 'vault-not-empty', 'Cannot delete group with 3 identities'])
  })

  test('is seen by a grant alone, and only that one', async () => {
    const [seen, hidden] = [await newVault(), await newVault()]
    await database.superuser('update role_assignment set valid_to = now() where user_id = $1', [acme.users.find((user) => user.sub === 'axe')?.id])
    expect((await api.call('axe', 'GET', '/v1/identity-groups')).status).toBe(403)
    expect((await grant(seen, 'axe', { level: 'view_vault' })).status).toBe(201)
    expect((await api.call('axe', 'GET', '/v1/identity-groups')).body.items.map((vault: { id: string }) => vault.id)).toEqual([seen])
    expect((await api.call('axe', 'GET', `/v1/identity-groups/${seen}`)).status).toBe(200)
    expect((await api.call('axe', 'GET', `/v1/identity-groups/${hidden}`)).status).toBe(404)
    expect((await api.call('axe', 'PATCH', `/v1/identity-groups/${seen}`, { body: { name: 'x' } })).status).toBe(403)
  })

  test.each([
    ['no name', {}, 'name'],
    ['an empty name', { name: '' }, 'name'],
    ['a name of 201 characters', { name: 'x'.repeat(201) }, 'name'],
    ['a control character', { name: 'a\u0007b' }, 'name'],
    ['a NUL', { name: 'a\u0000b' }, 'name'],
    ['a description of 2001 characters', { name: 'x', description: 'x'.repeat(2001) }, 'description'],
    ['an organization that is no id', { name: 'x', organizationId: 'x' }, 'organizationId'],
  ])('is refused with %s', async (_what, more, path) => {
    const { status, body } = await post('/v1/identity-groups', { organizationId, ...more })
    expect([status, body.errors?.[0]?.path]).toEqual([422, path])
  })

  test('in an organization of another account answers like in one that nobody has', async () => {
    const [foreign, none] = await Promise.all(
      [organizationId, absent].map((id) => post('/v1/identity-groups', { organizationId: id, name: 'x' }, 'gus', traced)),
    )
    expect([foreign?.status, foreign?.text]).toEqual([404, none?.text])
  })
})

describe('a grant', () => {
  test('is given, listed and revoked', async () => {
    const vault = await newVault()
    const given = await grant(vault, 'sam', { expiresAt: '2126-01-01T00:00:00Z' })
    expect([given.status, given.body]).toEqual([
      201,
      expect.objectContaining({
        identityGroupId: vault,
        principal: { type: 'user', id: idpIdOf('sam'), name: 'Sam Operator' },
        level: 'checkout',
        expiresAt: '2126-01-01T00:00:00.000Z',
        state: 'active',
      }),
    ])
    const path = `/v1/identity-groups/${vault}/grants`
    expect((await api.call('ola', 'GET', path)).body.items).toEqual([given.body])
    expect((await api.call('ola', 'DELETE', `${path}/${given.body.id}`)).status).toBe(204)
    expect((await api.call('ola', 'DELETE', `${path}/${given.body.id}`)).status).toBe(204)
    expect((await api.call('ola', 'GET', path)).body.items).toEqual([])
    expect((await api.call('ola', 'GET', `${path}/${given.body.id}`)).body.state).toBe('revoked')
  })

  test('is not given to oneself unless owner', async () => {
    const vault = await newVault()
    const own = await grant(vault, 'ola')
    expect([own.status, own.body.code]).toEqual([403, 'forbidden'])
    expect((await grant(vault, 'mia', {}, 'mia')).status).toBe(201)
  })

  test('is given and revoked only with pam_vaults.manage', async () => {
    const vault = await newVault()
    const {
      body: { id },
    } = await grant(vault, 'sam')
    for (const sub of ['sam', 'vic']) {
      expect((await grant(vault, 'axe', {}, sub)).status).toBe(403)
      expect((await api.call(sub, 'DELETE', `/v1/identity-groups/${vault}/grants/${id}`)).status).toBe(403)
    }
  })

  test('belongs to the vault in its path', async () => {
    const {
      body: { id },
    } = await grant(await newVault(), 'sam')
    expect((await api.call('ola', 'DELETE', `/v1/identity-groups/${await newVault()}/grants/${id}`)).status).toBe(404)
  })

  test.each([
    ['an end in the past', { expiresAt: '2020-01-01T00:00:00Z' }, 'expiresAt'],
    ['an end without a zone', { expiresAt: '2126-01-01T00:00:00' }, 'expiresAt'],
    ['an unknown level', { level: 'owner' }, 'level'],
    ['an unknown kind', { principal: { type: 'role', id: absent } }, 'principal.type'],
    ['an unknown field inside', { principal: { type: 'user', id: absent, name: 'x' } }, 'principal.name'],
  ])('is refused with %s', async (_what, more, path) => {
    const { status, body } = await grant(await newVault(), 'sam', more)
    expect([status, body.errors?.[0]?.path]).toEqual([422, path])
  })

  test('to a principal of another account answers like to one that nobody has', async () => {
    const vault = await newVault()
    const [foreign, none] = await Promise.all(
      [idpIdOf('gus'), absent].map((id) => post(`/v1/identity-groups/${vault}/grants`, { principal: { type: 'user', id }, level: 'checkout' }, 'ola', traced)),
    )
    expect([foreign?.status, foreign?.text]).toEqual([404, none?.text])
  })
})

describe('principals', () => {
  test('are searched in the own account only, by those who may grant', async () => {
    const found = await api.call('ola', 'GET', '/v1/principals?q=sam%20op')
    expect(found.body.items).toEqual([{ type: 'user', id: idpIdOf('sam'), name: 'Sam Operator', email: 'sam@acme.example' }])
    expect((await api.call('ola', 'GET', '/v1/principals?q=gus')).body.items).toEqual([])
    expect((await api.call('sam', 'GET', '/v1/principals?q=sam')).status).toBe(403)
  })
})

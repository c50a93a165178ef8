import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createOrganizationSecrets } from '#secrets/organization-secret.ts'
import { createVaultKeys } from '#secrets/vault-keys.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startOpenBao, type TestOpenBao } from '../support/openbao.ts'
import { absent, startApi, type Answer, type TestApi } from './support.ts'

let database: TestDatabase
let bao: TestOpenBao
let api: TestApi
let organizationId: string
let identityGroupId: string
let connectorId: string
let hostId: string

const post = async (path: string, body: object, sub = 'ola'): Promise<Answer> => api.call(sub, 'POST', path, { body })
const made = async (path: string, body: object): Promise<string> => {
  const {
    status,
    body: { id },
  } = await post(path, body)
  expect([path, status]).toEqual([path, 201])
  return id
}
const credential = 'canary-credential-51f0'
const identity = (more: object = {}) => ({ identityGroupId, name: randomUUID(), username: 'app', credentialType: 'password', credential, ...more })
const reveal = async (id: string): Promise<string> => (await api.call('mia', 'POST', `/v1/identities/${id}/reveal`, { body: {} })).body.value

beforeAll(async () => {
  database = await createTestDatabase()
  bao = await startOpenBao()
  const organizationSecrets = createOrganizationSecrets(bao.as('leasehold-api'))
  api = await startApi(database, { organizationSecrets, vaultKeys: createVaultKeys(organizationSecrets) })
  organizationId = await made('/v1/organizations', { name: 'main' })
  await api.call('ola', 'PUT', `/v1/organizations/${organizationId}/secret`, { body: {} })
  identityGroupId = await made('/v1/identity-groups', { organizationId, name: 'demo' })
  connectorId = await made('/v1/connectors', { organizationId, name: 'edge' })
  hostId = await made('/v1/hosts', { organizationId, name: 'target', address: 'db.internal', port: 5432, adapter: 'postgres', connectorId })
  await database.superuser(`update relay_state set last_temporal_call_at = clock_timestamp(), temporal_namespace_id = 'test'`)
}, 60_000)
afterAll(async () => {
  await api?.stop()
  await Promise.all([bao?.stop(), database?.end()])
})

describe('an identity', () => {
  test('answers every field of its body except the credential, and its id and state', async () => {
    const body = identity({
      rotationIntervalDays: 30,
      rotateAfterUse: true,
      hostIds: [hostId],
      allowConcurrentCheckout: true,
      maxConcurrentSessions: 2,
      exposure: 'inject_only',
    })
    const answer = await post('/v1/identities', body)
    const { credential: _, ...settings } = body
    expect([answer.status, answer.body]).toEqual([201, expect.objectContaining({ ...settings, state: 'active', credentialVersion: 1 })])
    expect((await api.call('vic', 'GET', `/v1/identities/${answer.body.id}`)).body).toEqual(answer.body)
    expect(answer.text).not.toContain(credential)
  })

  test('stores its credential encrypted, and what is stored opens to the same value', async () => {
    const id = await made('/v1/identities', identity())
    const { rows } = await database.superuser(`select encryption_version, key_id, ciphertext from credential_version where identity_id = $1`, [id])
    expect(rows).toEqual([{ encryption_version: 2, key_id: 'o1', ciphertext: expect.any(Buffer) }])
    expect(rows[0].ciphertext.includes(credential)).toBe(false)
    expect(await reveal(id)).toBe(credential)
  })

  test('goes on opening after the organization secret was rotated, and gets new values under the new version', async () => {
    const id = await made('/v1/identities', identity())
    await post(`/v1/organizations/${organizationId}/secret/rotate`, {})
    expect(await reveal(id)).toBe(credential)
    const { status, body } = await api.call('ola', 'PATCH', `/v1/identities/${id}`, { body: { credential: 'another-value' } })
    expect([status, body.credentialVersion]).toEqual([200, 2])
    expect(await reveal(id)).toBe('another-value')
    const { rows } = await database.superuser(
      'select version, key_id, ciphertext is null as shredded from credential_version where identity_id = $1 order by version',
      [id],
    )
    expect(rows).toEqual([
      { version: 1, key_id: 'o1', shredded: true },
      { version: 2, key_id: 'o2', shredded: false },
    ])
  })

  test('is made once per Idempotency-Key, and a repeated request answers it as it is now', async () => {
    const headers = { 'idempotency-key': randomUUID() }
    const body = identity()
    const first = await api.call('ola', 'POST', '/v1/identities', { body, headers })
    await api.call('ola', 'PATCH', `/v1/identities/${first.body.id}`, { body: { name: 'renamed' } })
    const again = await api.call('ola', 'POST', '/v1/identities', { body, headers })
    expect([again.status, again.body]).toEqual([201, expect.objectContaining({ id: first.body.id, name: 'renamed', version: 2 })])
    const other = await api.call('ola', 'POST', '/v1/identities', { body: { ...body, credential: 'other' }, headers })
    expect([other.status, other.body.code]).toEqual([422, 'idempotency-key-reused'])
  })

  test('changes nothing but names while it is checked out, and is deleted afterwards', async () => {
    const id = await made('/v1/identities', identity())
    const {
      body: { lease },
    } = await api.call('mia', 'POST', `/v1/identities/${id}/checkout`, { body: { reason: 'maintenance', durationMinutes: 5 } })
    for (const body of [{ credential: 'x' }, { username: 'x' }, { hostIds: [hostId] }]) {
      const refused = await api.call('ola', 'PATCH', `/v1/identities/${id}`, { body })
      expect([refused.status, refused.body.code, refused.body.holder]).toEqual([409, 'identity-checked-out', 'Mia Owner'])
    }
    expect((await api.call('ola', 'DELETE', `/v1/identities/${id}`)).status).toBe(409)
    expect((await api.call('ola', 'PATCH', `/v1/identities/${id}`, { body: { name: 'while held' } })).body).toMatchObject({
      name: 'while held',
      activeLeases: 1,
    })
    expect((await api.call('mia', 'POST', `/v1/leases/${lease.id}/checkin`, { body: {} })).status).toBe(200)
    expect((await api.call('ola', 'DELETE', `/v1/identities/${id}`)).status).toBe(204)
    expect((await api.call('ola', 'GET', `/v1/identities/${id}`)).status).toBe(404)
  })

  test.each([
    ['rotation interval below 1', { rotationIntervalDays: 0 }, 'rotationIntervalDays'],
    ['rotation interval that is no integer', { rotationIntervalDays: 1.5 }, 'rotationIntervalDays'],
    ['maximum without concurrent checkout', { maxConcurrentSessions: 2 }, 'maxConcurrentSessions'],
    ['concurrent checkout without maximum', { allowConcurrentCheckout: true }, 'maxConcurrentSessions'],
    ['maximum below 1', { allowConcurrentCheckout: true, maxConcurrentSessions: 0 }, 'maxConcurrentSessions'],
    ['rotate after use without hosts', { rotateAfterUse: true }, 'rotateAfterUse'],
    ['unknown credential type', { credentialType: 'pin' }, 'credentialType'],
    ['empty credential', { credential: '' }, 'credential'],
    ['empty name', { name: '' }, 'name'],
    ['name with a line break', { name: 'a\nb' }, 'name'],
    ['name of blanks', { name: '   ' }, 'name'],
    ['username of 256 characters', { username: 'x'.repeat(256) }, 'username'],
    ['host named twice', () => ({ hostIds: [hostId, hostId] }), 'hostIds'],
    ['grace below 5 minutes', { afterUseGraceMinutes: 4 }, 'afterUseGraceMinutes'],
  ])('is refused with a %s: 422 that names the field and not the value', async (_what, more, path) => {
    const answer = await post('/v1/identities', identity(typeof more === 'function' ? more() : more))
    expect([answer.status, answer.body.code, answer.body.errors.map((error: { path: string }) => error.path)]).toEqual([422, 'validation-failed', [path]])
    expect(answer.text).not.toContain(credential)
  })

  test('counts characters as code points: 200 emoji are a name, 201 are not', async () => {
    expect((await post('/v1/identities', identity({ name: '🔑'.repeat(200) }))).status).toBe(201)
    expect((await post('/v1/identities', identity({ name: '🔑'.repeat(201) }))).status).toBe(422)
  })

  test('gets an after-use grace from an account owner only', async () => {
    const body = identity({ afterUseGraceMinutes: 5 })
    expect((await post('/v1/identities', body)).status).toBe(403)
    expect((await post('/v1/identities', body, 'mia')).status).toBe(201)
  })

  test('is written only with pam_vaults.manage', async () => {
    const id = await made('/v1/identities', identity())
    for (const sub of ['sam', 'vic', 'axe']) {
      expect((await post('/v1/identities', identity(), sub)).status).toBe(403)
      expect((await api.call(sub, 'PATCH', `/v1/identities/${id}`, { body: { name: 'x' } })).status).toBe(403)
      expect((await api.call(sub, 'DELETE', `/v1/identities/${id}`)).status).toBe(403)
    }
  })

  test('of another account answers like one that nobody has', async () => {
    const id = await made('/v1/identities', identity())
    const headers = { traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01` }
    for (const [method, body] of [['GET'], ['PATCH', { name: 'x' }], ['DELETE']] as const) {
      const [foreign, none] = await Promise.all(
        [id, absent].map((which) => api.call('gus', method, `/v1/identities/${which}`, { headers, ...(body && { body }) })),
      )
      expect([method, foreign?.status, foreign?.text]).toEqual([method, 404, none?.text])
    }
    const [foreign, none] = await Promise.all(
      [identityGroupId, absent].map((which) => api.call('gus', 'POST', '/v1/identities', { headers, body: identity({ identityGroupId: which }) })),
    )
    expect([foreign?.status, foreign?.text]).toEqual([404, none?.text])
  })
})

describe('a vault without an organization secret', () => {
  test('takes no identity: "Organization secret not found"', async () => {
    const bare = await made('/v1/organizations', { name: 'bare' })
    const vault = await made('/v1/identity-groups', { organizationId: bare, name: 'demo' })
    const { status, body } = await post('/v1/identities', identity({ identityGroupId: vault }))
    expect([status, body.code, body.detail]).toEqual([409, 'organization-secret-not-found', 'Organization secret not found'])
  })
})

describe('the list of identities', () => {
  test('is filtered and paged', async () => {
    const vault = await made('/v1/identity-groups', { organizationId, name: randomUUID() })
    const ids: string[] = []
    for (let number = 0; number < 3; number += 1)
      ids.push(await made('/v1/identities', identity({ identityGroupId: vault, hostIds: number === 0 ? [hostId] : [] })))
    const first = (await api.call('vic', 'GET', `/v1/identities?identityGroupId=${vault}&limit=2`)).body
    const second = (await api.call('vic', 'GET', `/v1/identities?identityGroupId=${vault}&limit=2&cursor=${first.nextCursor}`)).body
    expect([...first.items, ...second.items].map((item: { id: string }) => item.id)).toEqual(ids)
    expect(second.nextCursor).toBeUndefined()
    const onHost = (await api.call('vic', 'GET', `/v1/identities?identityGroupId=${vault}&hostId=${hostId}`)).body
    expect(onHost.items.map((item: { id: string }) => item.id)).toEqual([ids[0]])
    for (const query of ['limit=0', 'limit=201', 'cursor=x', 'identityGroupId=x', 'name=%00', 'sort=name'])
      expect([query, (await api.call('vic', 'GET', `/v1/identities?${query}`)).status]).toEqual([query, 422])
  })
})

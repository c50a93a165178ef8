import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createOrganizationSecrets } from '#secrets/organization-secret.ts'
import { createVaultKeys } from '#secrets/vault-keys.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startOpenBao, type TestOpenBao } from '../support/openbao.ts'
import { absent, startApi, type TestApi } from './support.ts'

let database: TestDatabase
let bao: TestOpenBao
let api: TestApi
beforeAll(async () => {
  database = await createTestDatabase()
  bao = await startOpenBao()
  const organizationSecrets = createOrganizationSecrets(bao.as('leasehold-api'))
  api = await startApi(database, { organizationSecrets, vaultKeys: createVaultKeys(organizationSecrets) })
}, 60_000)
afterAll(async () => {
  await api?.stop()
  await Promise.all([bao?.stop(), database?.end()])
})

const create = async (name: string = randomUUID()): Promise<string> => {
  const { status, body } = await api.call('ola', 'POST', '/v1/organizations', { body: { name } })
  expect(status).toBe(201)
  return body.id
}

describe('an organization', () => {
  test('is answered with every field, its place and its version', async () => {
    const { status, body, headers } = await api.call('ola', 'POST', '/v1/organizations', { body: { name: 'fields', maximumLeaseMinutes: 60 } })
    expect(status).toBe(201)
    expect(body).toMatchObject({ name: 'fields', maximumLeaseMinutes: 60, breakGlassMaximumMinutes: 60, secretVersion: null, version: 1 })
    expect(headers.get('location')).toBe(`/v1/organizations/${body.id}`)
    const item = await api.call('ola', 'GET', `/v1/organizations/${body.id}`)
    expect(item.body).toEqual(body)
    expect(item.headers.get('etag')).toBe('"1"')
  })

  test('is made once per Idempotency-Key, also when asked twice at once', async () => {
    const headers = { 'idempotency-key': randomUUID() }
    const body = { name: randomUUID() }
    const answers = await Promise.all([1, 2, 3].map(() => api.call('ola', 'POST', '/v1/organizations', { body, headers })))
    expect(answers.map((answer) => answer.status)).toEqual([201, 201, 201])
    expect(new Set(answers.map((answer) => answer.body.id)).size).toBe(1)
    expect((await api.call('ola', 'POST', '/v1/organizations', { body: { name: 'other' }, headers })).body.code).toBe('idempotency-key-reused')
    expect((await api.call('mia', 'POST', '/v1/organizations', { body, headers })).body.code).toBe('already-exists')
  })

  test('is changed only at the version named in If-Match', async () => {
    const id = await create()
    const changed = await api.call('ola', 'PATCH', `/v1/organizations/${id}`, { body: { maximumLeaseMinutes: 240 }, headers: { 'if-match': '"1"' } })
    expect([changed.status, changed.body.maximumLeaseMinutes, changed.headers.get('etag')]).toEqual([200, 240, '"2"'])
    for (const tag of ['"1"', 'W/"2"']) {
      const { status, body } = await api.call('ola', 'PATCH', `/v1/organizations/${id}`, { body: { name: 'late' }, headers: { 'if-match': tag } })
      expect([tag, status, body.code]).toEqual([tag, 412, 'precondition-failed'])
    }
  })

  test('of another account answers like one that nobody has, to every call', async () => {
    const id = await create()
    const headers = { traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01` }
    for (const [method, rest, body] of [
      ['GET', ''],
      ['PATCH', '', {}],
      ['GET', '/secret'],
      ['PUT', '/secret', {}],
      ['POST', '/secret/rotate', {}],
    ] as const) {
      const [foreign, none] = await Promise.all(
        [id, absent].map((which) => api.call('gus', method, `/v1/organizations/${which}${rest}`, { headers, ...(body && { body }) })),
      )
      expect([method, rest, foreign?.status, foreign?.text]).toEqual([method, rest, 404, none?.text])
    }
  })

  test('is made and changed only with organizations.manage', async () => {
    const id = await create()
    for (const sub of ['sam', 'vic', 'axe']) {
      expect((await api.call(sub, 'POST', '/v1/organizations', { body: { name: 'x' } })).status).toBe(403)
      expect((await api.call(sub, 'PUT', `/v1/organizations/${id}/secret`, { body: {} })).status).toBe(403)
      expect((await api.call(sub, 'GET', `/v1/organizations/${id}`)).status).toBe(200)
    }
  })
})

describe('the organization secret', () => {
  test('is set once: 204, then 409', async () => {
    const id = await create()
    expect((await api.call('ola', 'GET', `/v1/organizations/${id}/secret`)).body).toEqual({ state: 'absent', version: null, versions: [], reencryption: null })
    expect((await api.call('ola', 'POST', `/v1/organizations/${id}/secret/rotate`, { body: {} })).body.code).toBe('organization-secret-not-found')
    const first = await api.call('ola', 'PUT', `/v1/organizations/${id}/secret`, { body: {} })
    expect([first.status, first.text]).toEqual([204, ''])
    const second = await api.call('ola', 'PUT', `/v1/organizations/${id}/secret`, { body: {} })
    expect([second.status, second.body.code]).toEqual([409, 'organization-secret-exists'])
  })

  test('is set by one of several that try at once', async () => {
    const id = await create()
    const answers = await Promise.all([1, 2, 3].map(() => api.call('ola', 'PUT', `/v1/organizations/${id}/secret`, { body: {} })))
    expect(answers.map((answer) => answer.status).sort()).toEqual([204, 409, 409])
  })

  test('is set although an attempt died after OpenBao had made it', async () => {
    const id = await create()
    const { rows } = await database.superuser('select account_id from organization where id = $1', [id])
    await api.parts.organizationSecrets.create(rows[0].account_id, id as never, 1)
    expect((await api.call('ola', 'PUT', `/v1/organizations/${id}/secret`, { body: {} })).status).toBe(204)
  })

  test('rotates to a new version for new values; old values stay readable', async () => {
    const id = await create()
    await api.call('ola', 'PUT', `/v1/organizations/${id}/secret`, { body: {} })
    const rotated = await api.call('ola', 'POST', `/v1/organizations/${id}/secret/rotate`, { body: {} })
    expect([rotated.status, rotated.headers.get('location')]).toEqual([202, `/v1/organizations/${id}/secret`])
    expect(rotated.body).toMatchObject({
      state: 'set',
      version: 2,
      versions: [
        { version: 1, credentials: 0 },
        { version: 2, credentials: 0 },
      ],
    })
  })
})

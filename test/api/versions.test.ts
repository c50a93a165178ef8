import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { acme } from '#stack/people.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

/** Every item of the OpenAPI document that can be changed is read, and changed with the ETag of a version that it does not have. */

let world: ApiWorld
/** Path template -> method. */
const changes: [path: string, method: string][] = []
/** Path of an item of each kind. */
let items: Readonly<Record<string, string>>

/** What has no version, and why it can do without. */
const unversioned = {
  '/v1/organizations/{id}/secret': 'it is set once: a second PUT answers 409',
  '/v1/identity-groups/{id}/grants/{grantId}': 'a grant is never changed, only closed',
  '/v1/roles/{id}/assignments/{assignmentId}': 'an assignment is never changed, only ended',
  '/v1/idp-groups/{id}/members/{idpUserId}': 'a membership is there or not',
  '/v1/support-access': 'a window is never changed, only followed by another one',
  '/v1/me/break-glass-credential': 'it is replaced by who knows it, or taken away',
  '/v1/me/break-glass-credential/security-keys/{id}': 'it is there or not',
  '/v1/me/break-glass-totp': 'it is replaced by who knows it, or taken away',
  '/v1/users/{id}/break-glass-credential': 'it is only taken away',
}

beforeAll(async () => {
  world = await createApiWorld()
  const { paths } = (await world.call(null, 'GET', '/v1/openapi.json')).body as { paths: Record<string, object> }
  for (const [path, operations] of Object.entries(paths))
    for (const method of ['put', 'patch', 'delete']) if (method in operations && !(path in unversioned)) changes.push([path, method.toUpperCase()])
  const organization = `/v1/organizations/${world.organizationId}`
  const guarded = await world.addIdentity('guarded')
  const made = async (path: string, body: object) => `${path}/${(await world.post('mia', path, body)).body.id}`
  items = {
    '/v1/roles/{id}': await made('/v1/roles', { name: 'versioned', permissions: [] }),
    '/v1/idp-users/{id}': await made('/v1/idp-users', { email: 'versioned@acme.example' }),
    '/v1/idp-groups/{id}': await made('/v1/idp-groups', { name: 'versioned' }),
    '/v1/organizations/{id}': organization,
    '/v1/organizations/{id}/step-up': `${organization}/step-up`,
    '/v1/identity-groups/{id}': `/v1/identity-groups/${world.vaultId}`,
    '/v1/identities/{id}': `/v1/identities/${await world.addIdentity('versioned')}`,
    '/v1/hosts/{id}': `/v1/hosts/${world.hostId}`,
    '/v1/connectors/{id}': `/v1/connectors/${world.connectorId}`,
    '/v1/approval-policies/{id}': await made('/v1/approval-policies', { identityId: guarded, steps: [{ approvers: [{ type: 'permission' }] }] }),
    '/v1/access-requests/{id}':
      (await world.post('mia', `/v1/identities/${guarded}/checkout`, { reason: 'x', durationMinutes: 30 })).headers.get('location') ?? '',
    '/v1/notification-channels/{id}': await made('/v1/notification-channels', { name: 'versioned', type: 'smtp', settings: {} }),
    '/v1/users/{id}': `/v1/users/${acme.users.find(({ sub }) => sub === 'vic')?.id}`,
  }
})
afterAll(() => world?.end())

const bodies: Readonly<Record<string, object>> = {
  '/v1/users/{id}': { state: 'disabled' },
  '/v1/organizations/{id}/step-up': { reveal: null },
  '/v1/approval-policies/{id}': { timeoutMinutes: 60 },
  '/v1/access-requests/{id}': { durationMinutes: 20 },
}
const bodyFor = (path: string, method: string): { body?: object } => (method === 'DELETE' ? {} : { body: bodies[path] ?? { name: randomUUID() } })
const change = (path: string, method: string, tag: string) =>
  world.call('mia', method, items[path] ?? '', { ...bodyFor(path, method), headers: { 'if-match': tag } })

describe('every item that can be changed', () => {
  test('is known here', () => {
    expect(new Set(changes.map(([path]) => path))).toEqual(new Set(Object.keys(items)))
  })

  test('is read with an ETag', async () => {
    for (const path of Object.keys(items)) {
      const { status, headers } = await world.call('mia', 'GET', items[path] ?? '')
      expect([path, status, headers.get('etag')]).toEqual([path, 200, expect.stringMatching(/^"\d+"$/)])
    }
  })

  test('is changed or deleted only in the version that is meant: 412, and it stays as it was', async () => {
    for (const [path, method] of changes) {
      const before = await world.call('mia', 'GET', items[path] ?? '')
      for (const tag of ['"999"', '"0"', 'W/"1"', '""', '"a"', '1', 'x', '', '"1", "2"', `"${'9'.repeat(40)}"`]) {
        const { status, body } = await change(path, method, tag)
        expect([method, path, tag, status, body.code]).toEqual([method, path, tag, 412, 'precondition-failed'])
      }
      const after = await world.call('mia', 'GET', items[path] ?? '')
      expect([method, path, after.text, after.headers.get('etag')]).toEqual([method, path, before.text, before.headers.get('etag')])
    }
  })

  test('is changed by its ETag, and has another one then; the old one no longer does', async () => {
    for (const [path, method] of changes.filter(([, name]) => name !== 'DELETE')) {
      const tag = (await world.call('mia', 'GET', items[path] ?? '')).headers.get('etag') ?? ''
      const changed = await change(path, method, tag)
      expect([path, changed.status, changed.headers.get('etag') === tag]).toEqual([path, 200, false])
      const read = await world.call('mia', 'GET', items[path] ?? '')
      expect([path, read.headers.get('etag')]).toEqual([path, changed.headers.get('etag')])
      expect([path, (await change(path, method, tag)).status]).toEqual([path, 412])
      expect([path, (await change(path, method, '*')).status]).toEqual([path, 200])
    }
  })
})

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createAuthority, issue } from '#stack/certificates.ts'
import { adding } from '../support/key-store.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { absent, startApi, type Answer, type TestApi } from './support.ts'

let database: TestDatabase
let api: TestApi
let organizationId: string
let connectorId: string

const host = (more: object = {}) => ({ organizationId, name: randomUUID(), address: 'db.internal', port: 5432, adapter: 'postgres', connectorId, ...more })
const post = (body: object, sub = 'ola', headers = {}): Promise<Answer> => api.call(sub, 'POST', '/v1/hosts', { body, headers })

const fingerprint = 'SHA256:uNiVztksCsDhcc0u9e8BrrJXVGDooGc6dZbTpP6fBAU'
const publicKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl host.example'

beforeAll(async () => {
  database = await createTestDatabase()
  api = await startApi(database)
  organizationId = (await api.call('ola', 'POST', '/v1/organizations', { body: { name: 'main' } })).body.id
  connectorId = (await api.call('ola', 'POST', '/v1/connectors', { body: { organizationId, name: 'edge' } })).body.id
})
afterAll(async () => {
  await api?.stop()
  await database?.end()
})

describe('a host', () => {
  test('answers every field of its body, and lives from POST to DELETE', async () => {
    const body = host({ adminIdentityId: null, parameters: { database: 'orders' } })
    const made = await post(body)
    expect([made.status, made.body]).toEqual([201, expect.objectContaining({ ...body, connectorOnline: false, version: 1 })])
    const path = `/v1/hosts/${made.body.id}`
    expect((await api.call('vic', 'GET', path)).body).toEqual(made.body)
    expect((await api.call('vic', 'GET', '/v1/hosts')).body.items).toEqual([made.body])
    const changed = await api.call('ola', 'PATCH', path, { body: { port: 5433, address: '10.1.2.3' }, headers: { 'if-match': '"1"' } })
    expect([changed.status, changed.body]).toEqual([200, { ...made.body, port: 5433, address: '10.1.2.3', version: 2 }])
    expect((await api.call('ola', 'DELETE', path)).status).toBe(204)
    expect((await api.call('ola', 'GET', path)).status).toBe(404)
  })

  test.each([
    ['port 0', { port: 0 }, 'port'],
    ['port 65536', { port: 65_536 }, 'port'],
    ['an unknown adapter', { adapter: 'telnet' }, 'adapter'],
    ['an address with a path', { address: 'db.internal/x' }, 'address'],
    ['an address with a port', { address: 'db.internal:5432' }, 'address'],
    ['an address that is almost an IP', { address: '10.0.0.999' }, 'address'],
    ['an address with a user', { address: 'a@b' }, 'address'],
    ['no address', { address: '' }, 'address'],
    ['a NUL in a parameter', { parameters: { database: 'a\u0000b' } }, 'parameters.database'],
    ['an unknown parameter', { parameters: { database: 'x', sslmode: 'disable' } }, 'parameters.sslmode'],
  ])('is refused with %s', async (_what, more, path) => {
    const { status, body } = await post(host(more))
    expect([status, body.errors?.map((error: { path: string }) => error.path)]).toEqual([422, [path]])
  })

  test('is reached over SSH only by a pinned host key, that a change may replace and never leave out', async () => {
    const ssh = (parameters?: object) => host({ adapter: 'ssh', port: 22, ...(parameters && { parameters }) })
    const errors = ({ status, body }: Answer) => [status, body.code, body.errors?.map(({ path }: { path: string }) => path)]
    const faulty = [422, 'validation-failed', ['parameters.hostKey']]
    for (const parameters of [
      undefined,
      {},
      ...['SHA256:short', 'MD5:00:11', `${fingerprint}\nssh-ed25519 AAAA`, publicKey.replace('ed25519', 'rsa'), 'ssh-dss AAAA'].map((hostKey) => ({
        hostKey,
      })),
    ]) {
      expect([parameters, ...errors(await post(ssh(parameters)))]).toEqual([parameters, ...faulty])
    }
    expect(errors(await post(ssh({ hostKey: fingerprint, database: 'x' })))).toEqual([422, 'validation-failed', ['parameters.database']])
    expect(errors(await post(host({ parameters: { hostKey: fingerprint } })))).toEqual(faulty)
    const made = await post(ssh({ hostKey: fingerprint }))
    expect([made.status, made.body]).toEqual([201, expect.objectContaining({ adapter: 'ssh', parameters: { hostKey: fingerprint } })])
    const change = (parameters: object) => api.call('ola', 'PATCH', `/v1/hosts/${made.body.id}`, { body: { parameters } })
    expect(errors(await change({}))).toEqual(faulty)
    expect(errors(await change({ hostKey: fingerprint, database: 'x' }))).toEqual([422, 'validation-failed', ['parameters.database']])
    // A place that leads elsewhere, or that a shell would read as more than a name.
    for (const authorizedKeysFile of ['../x', '/a/../b', '/keys/', 'a b', '$(id)', '/etc/%h', '~root/x', '%x', "'", '', 'x\ny']) {
      expect([authorizedKeysFile, ...errors(await change({ hostKey: fingerprint, authorizedKeysFile }))]).toEqual([
        authorizedKeysFile,
        422,
        'validation-failed',
        ['parameters.authorizedKeysFile'],
      ])
    }
    for (const authorizedKeysFile of ['.ssh/authorized_keys', '/etc/ssh/keys/%u', '%h/.ssh/keys']) {
      expect((await change({ hostKey: fingerprint, authorizedKeysFile })).body.parameters).toEqual({ hostKey: fingerprint, authorizedKeysFile })
    }
    expect(errors(await post(host({ parameters: { authorizedKeysFile: 'x' } })))).toEqual([422, 'validation-failed', ['parameters.authorizedKeysFile']])
    const both = { hostKey: `${publicKey}\n${fingerprint}\n` }
    expect((await change(both)).body.parameters).toEqual(both)
  })

  test('takes the parameters of its own adapter only, and never a private key', async () => {
    const ca = (await createAuthority('targets')).cert
    const accountDn = 'uid={username},ou=people,dc=example,dc=org'
    for (const [adapter, parameters] of [
      ['postgres', { ca, database: 'x' }],
      ['mysql', { ca, accountHost: '10.0.%' }],
      ['ldap', { ca, accountDn, startTls: true }],
      ['ldap', {}],
      ['http', { ca, calls: adding }],
    ] as const) {
      const { status, body } = await post(host({ adapter, parameters }))
      expect([status, body.parameters]).toEqual([201, parameters])
    }
    const { key } = await issue(await createAuthority('targets'), ['x'])
    for (const [adapter, parameters, name] of [
      ['ssh', { hostKey: fingerprint, ca }, 'ca'],
      ['mysql', { accountDn }, 'accountDn'],
      ['ldap', { accountHost: '%' }, 'accountHost'],
      ['ldap', { accountDn: 'ou=people' }, 'accountDn'],
      ['ldap', { accountDn: '{username}{username}' }, 'accountDn'],
      ['ldap', { startTls: 'yes' }, 'startTls'],
      ['mysql', { ca: 'nonsense' }, 'ca'],
      ['mysql', { ca: `${ca}\n${key}` }, 'ca'],
      ['ldap', { password: 'x' }, 'password'],
      ['postgres', { calls: adding }, 'calls'],
      ['http', {}, 'calls'],
      ['http', { calls: adding, database: 'x' }, 'database'],
      ['http', { calls: { ...adding, set: { ...adding.set, path: '/keys/{value}' } } }, 'calls.set.path'],
    ] as const) {
      const { status, body } = await post(host({ adapter, parameters }))
      expect([parameters, status, body.errors?.map(({ path }: { path: string }) => path)]).toEqual([parameters, 422, [`parameters.${name}`]])
    }
  })

  test.each(['localhost', 'db-1.eu.internal', '10.0.0.1', '::1', '2001:db8::7'])('may be at %s', async (address) => {
    expect((await post(host({ address }))).status).toBe(201)
  })

  test('refers only to what its own organization has', async () => {
    const headers = { traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01` }
    const other = (await api.call('ola', 'POST', '/v1/organizations', { body: { name: randomUUID() } })).body.id
    expect((await post(host({ organizationId: other }))).status).toBe(404)
    expect((await post(host({ connectorId: absent }))).status).toBe(404)
    expect((await post(host({ adminIdentityId: absent }))).status).toBe(404)
    const [foreign, none] = await Promise.all([organizationId, absent].map((id) => post(host({ organizationId: id }), 'gus', headers)))
    expect([foreign?.status, foreign?.text]).toEqual([404, none?.text])
  })

  test('is written only with pam_vaults.manage', async () => {
    const {
      body: { id },
    } = await post(host())
    expect((await post(host(), 'sam')).status).toBe(403)
    expect((await api.call('sam', 'PATCH', `/v1/hosts/${id}`, { body: { port: 1 } })).status).toBe(403)
    expect((await api.call('sam', 'DELETE', `/v1/hosts/${id}`)).status).toBe(403)
  })
})

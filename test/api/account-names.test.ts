import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { generateSshKey } from '#secrets/ssh-key-pair.ts'
import { adding } from '../support/key-store.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
let hosts: Readonly<Record<string, string>>
beforeAll(async () => {
  world = await createApiWorld()
  const make = async (adapter: string, parameters: object): Promise<[string, string]> => {
    const { organizationId, connectorId } = world
    const body = { organizationId, name: randomUUID(), address: 'db.internal', port: 1234, adapter, connectorId, parameters }
    return [adapter, (await world.post('mia', '/v1/hosts', body)).body.id]
  }
  hosts = Object.fromEntries(
    await Promise.all([
      make('postgres', {}),
      make('ssh', { hostKey: `SHA256:${'A'.repeat(43)}` }),
      make('mysql', {}),
      make('ldap', {}),
      make('http', { calls: adding }),
    ]),
  )
})
afterAll(() => world?.end())

/** Every name a person may store, and on which kinds of hosts it is refused. */
const names: readonly (readonly [username: string, refused: readonly string[]])[] = [
  ['app', []],
  ['a:b', ['ssh', 'ssh-key']],
  [`quote'"s`, ['ssh-key']],
  ['-dash', ['ssh-key']],
  ['$(id)', ['ssh-key']],
  ['ünï-日本', ['ssh-key']],
  ['\u{1f511}key', ['ssh-key', 'mysql']],
  ['a/b', ['ssh-key', 'http']],
  ['..', ['ssh-key', 'http']],
  ['back\\slash', ['ssh-key', 'http']],
  ['a;b', ['ssh-key', 'http']],
  ["x'; drop table y; --", ['ssh-key', 'http']],
  ['\u2028', ['ssh', 'ssh-key', 'http']],
  ['x'.repeat(64), ['postgres']],
  ['ü'.repeat(32), ['postgres', 'ssh-key']],
  ['x'.repeat(129), ['postgres', 'mysql']],
]
const kinds = ['postgres', 'ssh', 'ssh-key', 'mysql', 'ldap', 'http'] as const
const typeOf = { 'ssh-key': 'ssh_key', http: 'api_key' } as const
const identity = (kind: (typeof kinds)[number], username: string) => ({
  identityGroupId: world.vaultId,
  name: randomUUID(),
  username,
  credentialType: kind === 'ssh-key' || kind === 'http' ? typeOf[kind] : 'password',
  credential: kind === 'ssh-key' ? generateSshKey().value.expose() : 'what logs in today',
  hostIds: [hosts[kind === 'ssh-key' ? 'ssh' : kind]],
})
const answerOf = ({ status, body }: { status: number; body: any }) => (status === 422 ? body.errors.map(({ path }: { path: string }) => path) : status)

describe.each(kinds)('on a host where the adapter %s works', (kind) => {
  test('a name is taken, or refused before any job, as the table says', async () => {
    for (const [username, refused] of names) {
      const answer = await world.post('mia', '/v1/identities', identity(kind, username))
      expect([username, answerOf(answer)]).toEqual([username, refused.includes(kind) ? ['username'] : 201])
    }
  })

  test.each(['a\nb', 'a\rb', 'nul\u0000', 'half \ud800', ''])('the name %j is refused for whatever host', async (username) => {
    expect(answerOf(await world.post('mia', '/v1/identities', identity(kind, username)))).toEqual(['username'])
  })
})

test('a change to such a name, or to such a host, is refused too; without a host it is anything', async () => {
  const { id } = (await world.post('mia', '/v1/identities', { ...identity('ssh', 'a:b'), hostIds: [] })).body
  const change = async (body: object) => answerOf(await world.call('mia', 'PATCH', `/v1/identities/${id}`, { body }))
  expect(await change({ hostIds: [hosts['ssh']] })).toEqual(['username'])
  expect(await change({ hostIds: [hosts['ssh']], username: 'ab' })).toBe(200)
  expect(await change({ username: 'a:b' })).toEqual(['username'])
  expect(await change({ name: 'renamed' })).toBe(200)
})

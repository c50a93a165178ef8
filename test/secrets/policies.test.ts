import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createOpenBao, type BaoPath, type OpenBao } from '#secrets/openbao.ts'
import { policies, type BaoRole } from '#secrets/policies.ts'
import { provision } from '#secrets/provision.ts'
import { startOpenBao, type TestOpenBao } from '#test/support/openbao.ts'

let server: TestOpenBao
let admin: OpenBao
const [account, organization] = [randomUUID(), randomUUID()]
const secretPath = ['leasehold', 'data', 'organizations', account, organization, '1']
const accountSecretPath = ['leasehold', 'data', 'accounts', account, '1']
const input = { input: 'eA==' }

beforeAll(async () => {
  server = await startOpenBao()
  admin = createOpenBao({ url: server.url, roleId: server.boot.bootRoleId, secretId: server.boot.bootSecretId })
  await admin.write(secretPath, { data: { wrapped: 'x' } })
  await admin.write(accountSecretPath, { data: { wrapped: 'x' } })
  await admin.write(['leasehold', 'data', 'temporal', '1'], { data: { wrapped: 'x' } })
}, 40_000)
afterAll(() => server.stop())

type Call = readonly [string, (bao: OpenBao) => Promise<unknown>]
const read = (...path: BaoPath): Call => [`read ${shown(path)}`, (bao) => bao.read(path)]
const write = (path: BaoPath, body: object): Call => [`write ${shown(path)} ${JSON.stringify(body)}`, (bao) => bao.write(path, body)]
const list = (...path: BaoPath): Call => [`list ${shown(path)}`, (bao) => bao.list(path)]
const shown = (path: BaoPath): string => path.map((segment) => (segment.length === 36 ? '<id>' : segment)).join('/')
const transit = (...path: BaoPath): BaoPath => ['leasehold-transit', ...path]

const calls = {
  readSecret: read(...secretPath),
  createSecret: write(['leasehold', 'data', 'organizations', account, randomUUID(), '1'], { options: { cas: 0 }, data: { wrapped: 'y' } }),
  readAccountSecret: read(...accountSecretPath),
  createAccountSecret: write(['leasehold', 'data', 'accounts', randomUUID(), '1'], { options: { cas: 0 }, data: { wrapped: 'y' } }),
  wrapSecret: write(transit('encrypt', 'org-wrap'), { plaintext: 'eA==' }),
  readNamespaceKey: read('leasehold', 'data', 'temporal', '1'),
  createNamespaceKey: write(['leasehold', 'data', 'temporal', '2'], { options: { cas: 0 }, data: { wrapped: 'y' } }),
  wrapNamespaceKey: write(transit('encrypt', 'namespace-wrap'), { plaintext: 'eA==' }),
  readOfferKey: read(...transit('keys', 'connector-signing')),
  signOffer: write(transit('sign', 'connector-signing'), input),
  makeNatsKey: write(transit('keys', 'nats-org-x'), { type: 'ed25519', exportable: false }),
  readNatsKey: read(...transit('keys', 'nats-operator')),
  signNats: write(transit('sign', 'nats-operator'), input),
} as const satisfies Record<string, Call>

const mayCall: Readonly<Record<BaoRole, readonly (keyof typeof calls)[]>> = {
  'leasehold-api': ['readSecret', 'createSecret', 'readAccountSecret', 'createAccountSecret', 'wrapSecret', 'readOfferKey'],
  'leasehold-worker': ['readSecret', 'readAccountSecret', 'readNamespaceKey', 'createNamespaceKey', 'wrapNamespaceKey'],
  'leasehold-bridge': ['readSecret', 'readOfferKey', 'signOffer', 'makeNatsKey', 'readNatsKey', 'signNats'],
}

/** What nobody of us may do, with the keys that everybody could otherwise reach. */
const forbiddenToAll: readonly Call[] = [
  write(secretPath, { data: { wrapped: 'overwritten' } }),
  write(accountSecretPath, { data: { wrapped: 'overwritten' } }),
  list('leasehold', 'metadata', 'organizations'),
  write(['leasehold', 'delete', 'organizations', account, organization, '1'], { versions: [1] }),
  write(['leasehold', 'destroy', 'organizations', account, organization, '1'], { versions: [1] }),
  write(['leasehold', 'config'], { max_versions: 1 }),
  read(...transit('export', 'encryption-key', 'org-wrap')),
  read(...transit('backup', 'org-wrap')),
  write(transit('keys', 'org-wrap', 'config'), { deletion_allowed: true }),
  write(transit('keys', 'nats-operator', 'rotate'), {}),
  write(transit('keys', 'connector-signing', 'rotate'), {}),
  write(transit('keys', 'nats-org-x', 'config'), { exportable: true }),
  write(transit('keys', 'nats-org-x', 'config'), { type: 'ed25519', deletion_allowed: true }),
  write(transit('keys', 'nats-org-exportable'), { type: 'ed25519', exportable: true }),
  write(transit('keys', 'nats-org-other'), { type: 'aes256-gcm96' }),
  write(transit('keys', 'of-somebody-else'), { type: 'ed25519' }),
  read('sys', 'policies', 'acl', 'leasehold-api'),
  write(['sys', 'policies', 'acl', 'leasehold-api'], { policy: '' }),
  write(['auth', 'approle', 'role', 'leasehold-api', 'secret-id'], {}),
  write(['auth', 'approle', 'role', 'leasehold-bridge', 'secret-id'], {}),
  list('sys', 'raw'),
  write(['auth', 'token', 'create'], {}),
]

describe.each(Object.keys(policies) as BaoRole[])('the role %s', (role) => {
  const names = Object.keys(calls) as (keyof typeof calls)[]

  test.each(names.filter((name) => mayCall[role].includes(name)))('may %s', async (name) => {
    await expect(calls[name][1](server.as(role))).resolves.not.toThrow()
  })

  test.each(names.filter((name) => !mayCall[role].includes(name)))('may not %s', async (name) => {
    await expect(calls[name][1](server.as(role))).rejects.toThrow('OpenBao answered 403')
  })

  test.each(forbiddenToAll.map(([what, call]) => ({ what, call })))('may not $what', async ({ call }) => {
    await expect(call(server.as(role))).rejects.toThrow('OpenBao answered 403')
  })
})

describe('provisioning', () => {
  test('makes wrapping and signing keys that nobody can export or delete', async () => {
    for (const name of ['org-wrap', 'namespace-wrap', 'connector-signing', 'nats-operator', 'nats-system']) {
      expect(await admin.read(transit('keys', name))).toMatchObject({ exportable: false, deletion_allowed: false, allow_plaintext_backup: false })
      await expect(admin.write(transit('keys', name), { type: 'rsa-2048' })).resolves.not.toMatchObject({ type: 'rsa-2048' })
    }
  })

  test('run again changes no key and no secret, and lets the processes of the last run log in until they are replaced', async () => {
    const before = await admin.read(transit('keys', 'connector-signing'))
    const [first, second, third] = [
      server.login('leasehold-api'),
      await provision({ url: server.url, ...server.boot }),
      await provision({ url: server.url, ...server.boot }),
    ]
    const asApi = (login: { roleId: string; secretId: string }) => createOpenBao({ url: server.url, ...login }).read(secretPath)
    expect(await admin.read(transit('keys', 'connector-signing'))).toEqual(before)
    expect(await asApi(third['leasehold-api'])).toMatchObject({ data: { wrapped: 'x' } })
    expect(await asApi(second['leasehold-api'])).toMatchObject({ data: { wrapped: 'x' } })
    await expect(asApi(first)).rejects.toMatchObject({ code: 'dependency-unavailable', facts: { role: 'openbao' } })
  })

  test('refuses an OpenBao that has another engine in the place of ours', async () => {
    await admin.write(['sys', 'remount'], { from: 'leasehold-transit', to: 'moved' })
    await vi.waitFor(() => admin.write(['sys', 'mounts', 'leasehold-transit'], { type: 'kv' }), { timeout: 5_000 })
    await expect(provision({ url: server.url, ...server.boot })).rejects.toThrow('another engine')
  })
})

import { createServer } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Target } from '#connector/adapters/adapter.ts'
import { postgresAdapter } from '#connector/adapters/postgres.ts'
import { createAuthority, issue, type Authority } from '#stack/certificates.ts'
import { testTarget } from '../support/target.ts'
import { startTlsProxy, type TlsProxy } from '../support/tls-proxy.ts'
import { everyAdapter } from './conformance.ts'

const target = testTarget()
const at = { address: target.address, port: target.port, parameters: {} }
const inTime = (): number => 10_000
/** Its sessions hold new passwords against passwordcheck. */
const strict = { username: 'strict_admin', password: 'strict admin 1' }
let authority: Authority
let foreign: string
let proxy: TlsProxy
let secured: (address: string, ca?: string) => Target

beforeAll(async () => {
  await target.run(`drop role if exists ${strict.username}`)
  await target.run(`create role ${strict.username} superuser login password '${strict.password}'`)
  await target.run(`alter role ${strict.username} set session_preload_libraries = 'passwordcheck'`)
  authority = await createAuthority('targets')
  proxy = await startTlsProxy({ port: target.port, ...(await issue(authority, ['127.0.0.1'])), preamble: 'postgres' })
  secured = (address, ca) => ({ address, port: proxy.port, parameters: ca === undefined ? {} : { ca } })
  foreign = (await createAuthority('another one')).cert
})
afterAll(() => proxy.end())
everyAdapter('postgres', () => ({
  adapter: postgresAdapter,
  at,
  admin: target.admin,
  create: async (username) => {
    const role = await target.createRole()
    if (username === undefined) return role
    await target.run(`alter role ${role.username} rename to "${username.replaceAll('"', '""')}"`)
    return { ...role, username }
  },
  logsIn: ({ username, password }) => target.logsIn(username, password),
  // The last one is this machine too, but does not look like it: that must be TLS.
  impostors: [secured('localhost', authority.cert), secured('127.0.0.1', foreign), secured('0.0.0.0')],
  impostorClass: 'certificate-mismatch',
  changesItself: true,
  refusedValue: async ({ username }) => ({ password: username, as: strict }),
}))

test('a server whose certificate is for its address, from the authority that was named, is believed', async () => {
  const role = await target.createRole()
  expect(await postgresAdapter.logIn(secured('127.0.0.1', authority.cert), role)).toEqual({ login: 'accepted' })
})

test('a role that may not change another one is denied', async () => {
  const [role, other] = [await target.createRole(), await target.createRole()]
  const change = await postgresAdapter.change(at, { as: role, username: other.username, password: 'x', beforeSend: inTime })
  expect(change).toEqual({ change: 'unchanged', reasonClass: 'denied' })
})

test('a name that PostgreSQL would cut off, and then mean another role, is refused', async () => {
  const role = await target.createRole()
  const cut = role.username.padEnd(63, 'x')
  await target.run(`alter role ${role.username} rename to "${cut}"`)
  const change = await postgresAdapter.change(at, { as: target.admin, username: `${cut}y`, password: 'not to be set', beforeSend: inTime })
  expect(change).toEqual({ change: 'unchanged', reasonClass: 'unsupported' })
  expect(await postgresAdapter.logIn(at, { username: `${cut}y`, password: role.password })).toEqual({ login: 'unclear', reasonClass: 'unsupported' })
  expect(await target.logsIn(cut, role.password)).toBe(true)
})

test('a password was right when only what comes after it failed', async () => {
  const noSuchDatabase = await postgresAdapter.logIn({ ...at, parameters: { database: 'absent' } }, target.admin)
  expect(noSuchDatabase).toEqual({ login: 'accepted' })
})

test('a server that asks for the password in the clear, as MD5, or not at all gets nothing and proves nothing', async () => {
  const heard: Buffer[] = []
  for (const [request, reasonClass] of [
    [3, 'weak-authentication'],
    [5, 'weak-authentication'],
    [0, 'unverified'],
  ] as const) {
    const fake = createServer((socket) => {
      socket
        .on('error', () => {})
        .on('data', (bytes) => heard.push(bytes))
        .once('data', () => socket.write(authenticationRequest(request)))
    })
    await new Promise<void>((resolve) => fake.listen(0, '127.0.0.1', resolve))
    const { port } = fake.address() as { port: number }
    expect(await postgresAdapter.logIn({ ...at, port }, { username: 'someone', password: 'canary-password' })).toEqual({ login: 'unclear', reasonClass })
    fake.close()
  }
  expect(Buffer.concat(heard).includes('canary-password')).toBe(false)
})

/** Authentication (R) with the given code; 0 is "ok" and followed by ReadyForQuery (Z). */
function authenticationRequest(code: number): Buffer {
  const body = Buffer.alloc(code === 5 ? 8 : 4)
  body.writeInt32BE(code)
  return Buffer.concat([Buffer.from('R'), Buffer.from([0, 0, 0, body.length + 4]), body, code === 0 ? Buffer.from('5a0000000549', 'hex') : Buffer.alloc(0)])
}

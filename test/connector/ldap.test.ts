import { connect, createServer, type AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Change, ChangeOutcome, Login, Target } from '#connector/adapters/adapter.ts'
import { ldapAdapter } from '#connector/adapters/ldap.ts'
import { createAuthority } from '#stack/certificates.ts'
import { slapdMissing, startSlapd, type TestSlapd } from '../support/slapd.ts'
import { everyAdapter } from './conformance.ts'

const missing = slapdMissing()
const ends: (() => unknown)[] = []
let server: TestSlapd
let foreign: string

beforeAll(async () => {
  if (missing !== undefined) return
  server = await startSlapd()
  foreign = (await createAuthority('another one')).cert
})
afterAll(() => server?.end())
beforeEach((context) => context.skip(missing !== undefined, missing))
afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

const another = async (...options: Parameters<typeof startSlapd>): Promise<TestSlapd> => {
  const slapd = await startSlapd(...options)
  ends.push(slapd.end)
  return slapd
}
const set = (
  account: Pick<Login, 'username'>,
  password: string,
  more: Partial<Change> = {},
  target = server.target,
  as = server.admin,
): Promise<ChangeOutcome> => ldapAdapter.change(target, { as, username: account.username, password, beforeSend: () => 15_000, ...more })

for (const [name, targetOf] of [
  ['ldap with TLS from the start', ({ target }: TestSlapd) => target],
  ['ldap with StartTLS', ({ startTls }: TestSlapd) => startTls],
] as const) {
  everyAdapter(
    name,
    () => {
      const at = targetOf(server)
      const { ca: _, ...withoutCa } = at.parameters
      return {
        adapter: ldapAdapter,
        at,
        admin: server.admin,
        create: server.create,
        logsIn: server.logsIn,
        impostors: [
          { ...at, address: 'localhost' },
          ...[foreign, 'not to be read'].map((ca) => ({ ...at, parameters: { ...at.parameters, ca } })),
          { ...at, parameters: withoutCa },
        ],
        impostorClass: 'certificate-mismatch',
        changesItself: true,
        refusedValue: async () => ({ password: 'short', as: server.admin }),
      }
    },
    missing,
  )
}

test('the directory hashes the value itself', async () => {
  const account = await server.create()
  expect(await set(account, 'to be hashed')).toEqual({ change: 'applied' })
  expect(await server.stored(account.username)).toMatch(/^\{SSHA\}/)
})

test('where there is no password modify operation, userPassword is replaced', async () => {
  const hidden = await another(['access to dn.base="" attrs=supportedExtension by * none', 'access to dn.base="" by * read'])
  const account = await hidden.create()
  expect(await set(account, 'replaced value', {}, hidden.target, hidden.admin)).toEqual({ change: 'applied' })
  await expect.poll(hidden.log).toContain('MOD attr=userPassword')
  expect([await hidden.logsIn({ ...account, password: 'replaced value' }), await hidden.logsIn(account)]).toEqual([true, false])
  expect(await set(account, 'short', {}, hidden.target, hidden.admin)).toEqual({ change: 'unchanged', reasonClass: 'policy-refused' })
})

test('without a place for accounts a username is a DN', async () => {
  const account = await server.create()
  const target: Target = { ...server.target, parameters: { ca: server.target.parameters['ca'] } }
  const username = server.dnOf(account.username)
  expect(await set({ username }, 'set by its DN', {}, target)).toEqual({ change: 'applied' })
  expect(await ldapAdapter.logIn(target, { username, password: 'set by its DN' })).toEqual({ login: 'accepted' })
})

test('a name cannot lead to another place of the directory', async () => {
  const account = await server.create()
  for (const username of [`${account.username},ou=people,dc=example,dc=org`, `${account.username}+cn=x`, `x\u0000`, '*', `*)(uid=${account.username}`]) {
    expect([username, await set({ username }, 'not to be set')]).toEqual([username, { change: 'unchanged', reasonClass: 'refused' }])
  }
  expect(await server.logsIn(account)).toBe(true)
})

test('a bind without a password or without a name proves nothing and is not made', async () => {
  const lenient = await another(['allow bind_anon_cred bind_anon_dn'])
  const account = await lenient.create()
  const { port, connections } = await cutAfter(lenient.target.port, 1_000)
  const at = { ...lenient.target, port }
  const unverified = { login: 'unclear', reasonClass: 'unverified' }
  expect(await ldapAdapter.logIn(at, { ...account, password: '' })).toEqual(unverified)
  expect(await ldapAdapter.logIn(at, { username: '', password: 'x' })).toEqual({ login: 'unclear', reasonClass: 'unsupported' })
  expect(await set(account, 'not to be set', {}, at, { ...lenient.admin, password: '' })).toEqual({
    change: 'unchanged',
    reasonClass: 'unverified',
  })
  expect(connections()).toBe(0)
  expect(await ldapAdapter.logIn(at, account)).toEqual({ login: 'accepted' })
})

test('a locked account is refused like a wrong password, and a reset opens it again', async () => {
  const account = await server.create()
  for (let failure = 0; failure < 4; failure++) await ldapAdapter.logIn(server.target, { ...account, password: 'wrong password' })
  expect(await ldapAdapter.logIn(server.target, account)).toEqual({ login: 'rejected' })
  expect(await set(account, 'set and opened')).toEqual({ change: 'applied' })
  expect(await ldapAdapter.logIn(server.target, { ...account, password: 'set and opened' })).toEqual({ login: 'accepted' })
})

test('a certificate for localhost is none for an address', async () => {
  const named = await another([], ['localhost'])
  for (const target of [named.target, named.startTls]) {
    expect(await ldapAdapter.logIn({ ...target, address: 'localhost' }, { username: 'x', password: 'y' })).toEqual({ login: 'rejected' })
    expect(await ldapAdapter.logIn(target, { username: 'x', password: 'y' })).toEqual({ login: 'unclear', reasonClass: 'certificate-mismatch' })
  }
})

test('a server that does not turn to TLS hears no name and no password', async () => {
  const heard: Buffer[] = []
  const plain = createServer((socket) => {
    socket
      .on('error', () => {})
      .on('data', (bytes) => {
        heard.push(bytes)
        // ExtendedResponse to this message: protocolError.
        socket.write(Buffer.from([0x30, 12, 2, 1, bytes[4] ?? 0, 0x78, 7, 0x0a, 1, 2, 4, 0, 4, 0]))
      })
  })
  await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve))
  ends.push(() => plain.close())
  const target = { ...server.startTls, port: (plain.address() as AddressInfo).port }
  const weak = { reasonClass: 'weak-authentication' }
  expect(await ldapAdapter.logIn(target, { username: 'canary-name', password: 'canary-password' })).toEqual({ login: 'unclear', ...weak })
  expect(await set({ username: 'canary-name' }, 'canary-new', {}, target)).toEqual({ change: 'unchanged', ...weak })
  expect(Buffer.concat(heard).toString('latin1')).not.toMatch(/canary|resetter/)
  expect(heard.length).toBe(2)
})

test('a connection that is lost at any moment is not dialled again, neither plain nor secure, and loses no value', async () => {
  for (const [name, at] of Object.entries({ ldaps: server.target, startTls: server.startTls })) {
    const outcomes: string[] = []
    for (let last = 0; outcomes.at(-1) !== 'applied'; last++) {
      const account = await server.create()
      const { port, connections, heard } = await cutAfter(at.port, last)
      const { change } = await set(account, 'canary-new', {}, { ...at, port })
      outcomes.push(change)
      expect([name, last, connections(), heard().includes('canary')]).toEqual([name, last, 1, false])
      expect([name, last, await server.logsIn(account)]).toEqual([name, last, change !== 'applied'])
    }
    // Only the last request is the change.
    expect(outcomes.slice(-2)).toEqual(['unknown', 'applied'])
    expect(new Set(outcomes.slice(0, -2))).toEqual(new Set(['unchanged']))
  }
})

/** Passes on the first `last` pieces of what each client says, and then hangs up. */
async function cutAfter(port: number, last: number): Promise<{ port: number; connections: () => number; heard: () => string }> {
  let connections = 0
  const heard: Buffer[] = []
  const proxy = createServer((near) => {
    connections++
    const far = connect(port, '127.0.0.1')
    far.on('error', () => {}).on('close', () => near.destroy())
    far.pipe(near)
    let pieces = 0
    near.on('error', () => {}).on('close', () => far.destroy())
    near.on('data', (bytes) => {
      heard.push(bytes)
      if (pieces++ < last) far.write(bytes)
      else near.destroy()
    })
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  ends.push(() => proxy.close())
  return { port: (proxy.address() as AddressInfo).port, connections: () => connections, heard: () => Buffer.concat(heard).toString('latin1') }
}

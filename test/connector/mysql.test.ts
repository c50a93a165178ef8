import { createServer, type AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Change, ChangeOutcome, Login, Target } from '#connector/adapters/adapter.ts'
import { mysqlAdapter } from '#connector/adapters/mysql.ts'
import { createAuthority } from '#stack/certificates.ts'
import { mariaDbMissing, startMariaDb, type TestMariaDb } from '../support/mariadb.ts'
import { everyAdapter } from './conformance.ts'

const missing = mariaDbMissing()
let server: TestMariaDb
let foreign: string

beforeAll(async () => {
  if (missing !== undefined) return
  server = await startMariaDb()
  foreign = (await createAuthority('another one')).cert
})
afterAll(() => server?.end())
beforeEach((context) => context.skip(missing !== undefined, missing))

const at = (more: Partial<Target> = {}): Target => ({ ...server.target, ...more })
const set = (account: Pick<Login, 'username'>, password: string, more: Partial<Change> = {}, target = at()): Promise<ChangeOutcome> =>
  mysqlAdapter.change(target, { as: server.admin, username: account.username, password, beforeSend: () => 15_000, ...more })

everyAdapter(
  'mysql',
  () => ({
    adapter: mysqlAdapter,
    at: at(),
    admin: server.admin,
    create: server.create,
    logsIn: server.logsIn,
    impostors: [at({ address: 'localhost' }), ...[{ ca: foreign }, { ca: 'not to be read' }, {}].map((parameters) => at({ parameters }))],
    impostorClass: 'certificate-mismatch',
    changesItself: true,
    refusedValue: async () => ({ password: 'short', as: server.admin }),
  }),
  missing,
)

test('of the accounts of one name the one of the host part is changed', async () => {
  const account = await server.create()
  await server.run(`create user ${account.username}@'10.9.8.7' identified by 'elsewhere-1';`)
  const hash = (): Promise<string> =>
    server.run(`select concat(host, json_value(priv, '$.authentication_string')) from mysql.global_priv where user = '${account.username}' order by host;`)
  const before = (await hash()).split('\n')
  expect(await set(account, 'only elsewhere', {}, at({ parameters: { ...at().parameters, accountHost: '10.9.8.7' } }))).toEqual({ change: 'applied' })
  const after = (await hash()).split('\n')
  expect(after.map((line, index) => line === before[index])).toEqual([true, false, true])
  expect(await server.logsIn(account)).toBe(true)
})

test('an account that authenticates in a way that nobody here could prove is left alone', async () => {
  await server.run(`install soname 'auth_ed25519';`)
  const account = await server.create(undefined, ({ password }) => `identified via ed25519 using password('${password}')`)
  expect(await set(account, 'not to be set')).toEqual({ change: 'unchanged', reasonClass: 'unsupported' })
  expect(await mysqlAdapter.logIn(at(), account)).toEqual({ login: 'unclear', reasonClass: 'unsupported' })
})

test('an admin may do without every right but the one on the table of accounts, and the way to authenticate stays', async () => {
  const [admin, account] = [await server.create(), await server.create(undefined, ({ password }) => `identified via ed25519 using password('${password}')`)]
  expect(await set(account, 'not to be set', { as: admin })).toEqual({ change: 'unchanged', reasonClass: 'denied' })
  await server.run(`grant update on mysql.* to ${admin.username}@'%';`)
  expect(await set(account, 'set without looking', { as: admin })).toEqual({ change: 'applied' })
  expect(await server.run(`show create user ${account.username}@'%';`)).toContain('VIA ed25519')
})

test('a server that calls itself MySQL is changed by ALTER USER', async () => {
  const other = await startMariaDb(['version=8.0.36'])
  const account = await other.create("o'brien")
  const value = "back\\slash' or '%_\\"
  const outcome = await mysqlAdapter.change(other.target, { as: other.admin, username: account.username, password: value, beforeSend: () => 15_000 })
  expect(outcome).toEqual({ change: 'applied' })
  expect([await other.logsIn({ ...account, password: value }), await other.logsIn(account)]).toEqual([true, false])
  // That is why a MariaDB is not.
  expect(other.remembered().binary).toMatch(/alter user 'o''brien'@'%' identified by/)
  await other.end()
})

test('neither the general log nor the binary log has the value', async () => {
  const account = await server.create()
  expect(await set(account, 'canary-of-logs')).toEqual({ change: 'applied' })
  const { general, binary } = server.remembered()
  expect([general.includes(account.username), binary.includes(account.username)]).toEqual([true, true])
  expect([general.includes('canary-of-logs'), binary.includes('canary-of-logs')]).toEqual([false, false])
})

test('a change that waits for a lock is given up by the target itself', async () => {
  const account = await server.create()
  const locked = server.run('flush tables with read lock; select sleep(8);')
  await expect.poll(() => server.run(`select count(*) from information_schema.processlist where info = 'select sleep(8)';`)).toBe('1\n')
  expect(await set(account, 'waited too long')).toEqual({ change: 'unchanged', reasonClass: 'refused' })
  await locked
  expect(await server.logsIn(account)).toBe(true)
})

test('nothing is sent so late that a lock could outlast the deadline', async () => {
  const account = await server.create()
  expect(await set(account, 'too late', { beforeSend: () => 4_999 })).toEqual({ change: 'unchanged', reasonClass: 'late' })
})

describe('a login', () => {
  test('of an account that is locked is not judged, and of one whose password has expired is', async () => {
    const [locked, expired] = [await server.create(), await server.create()]
    await server.run(`alter user ${locked.username}@'%' account lock; alter user ${expired.username}@'%' password expire;`)
    expect(await mysqlAdapter.logIn(at(), locked)).toEqual({ login: 'unclear', reasonClass: 'denied' })
    expect(await mysqlAdapter.logIn(at(), expired)).toEqual({ login: 'accepted' })
    expect(await mysqlAdapter.logIn(at(), { ...expired, password: 'wrong password' })).toEqual({ login: 'rejected' })
  })

  test('that is let in as somebody else proves nothing', async () => {
    await server.run(`create user ''@'%' identified by 'anonymous-1';`)
    expect(await mysqlAdapter.logIn(at(), { username: 'ghost', password: 'anonymous-1' })).toEqual({ login: 'unclear', reasonClass: 'unverified' })
    await server.run(`drop user ''@'%';`)
  })

  test('is not made to a server without TLS, and the password does not leave', async () => {
    const heard: Buffer[] = []
    const plain = createServer((socket) => {
      socket.on('error', () => {}).on('data', (bytes) => heard.push(bytes))
      socket.write(greeting)
    })
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve))
    const { port } = plain.address() as AddressInfo
    expect(await mysqlAdapter.logIn(at({ port }), { username: 'someone', password: 'canary-password' })).toEqual({
      login: 'unclear',
      reasonClass: 'weak-authentication',
    })
    plain.close()
    expect(heard).toEqual([])
  })

  test('is made only where the certificate is for the very address', async () => {
    const named = await startMariaDb([], ['localhost'])
    expect(await mysqlAdapter.logIn({ ...named.target, address: 'localhost' }, named.admin)).toEqual({ login: 'accepted' })
    expect(await mysqlAdapter.logIn(named.target, named.admin)).toEqual({ login: 'unclear', reasonClass: 'certificate-mismatch' })
    await named.end()
  })
})

/** HandshakeV10 of a server that asks for the password in the clear and has no TLS. */
const greeting = ((): Buffer => {
  const capabilities = 0x0008_8200
  const head = Buffer.from('0a382e302e3000010000006162636465666768 00'.replaceAll(' ', ''), 'hex')
  const flags = Buffer.alloc(18)
  flags.writeUInt16LE(capabilities & 0xffff, 0)
  flags[2] = 0x21
  flags.writeUInt16LE(2, 3)
  flags.writeUInt16LE(capabilities >>> 16, 5)
  flags[7] = 21
  const body = Buffer.concat([head, flags, Buffer.from('ijklmnopqrst\0mysql_clear_password\0')])
  return Buffer.concat([Buffer.from([body.length, 0, 0, 0]), body])
})()

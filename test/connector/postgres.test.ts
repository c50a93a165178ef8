import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { postgresAdapter } from '#connector/adapters/postgres.ts'
import { testTarget } from '../support/target.ts'

const target = testTarget()
const at = { address: target.address, port: target.port, parameters: {} }
const inTime = (): number => 10_000

test('an admin sets a value, the new one logs in and the old one is refused', async () => {
  const role = await target.createRole()
  const change = await postgresAdapter.change(at, { as: target.admin, username: role.username, password: 'new value 1', beforeSend: inTime })
  expect(change).toEqual({ change: 'applied' })
  expect(await postgresAdapter.logIn(at, { username: role.username, password: 'new value 1' })).toEqual({ login: 'accepted' })
  expect(await postgresAdapter.logIn(at, role)).toEqual({ login: 'rejected' })
})

test('without an admin an account changes itself', async () => {
  const role = await target.createRole()
  expect(await postgresAdapter.change(at, { as: role, username: role.username, password: 'own', beforeSend: inTime })).toEqual({ change: 'applied' })
  expect(await target.logsIn(role.username, 'own')).toBe(true)
})

test('a role name is a name, whatever it looks like', async () => {
  const username = `odd"; alter role postgres nologin; --' ${Date.now()}`
  await target.run(`create role "${username.replaceAll('"', '""')}" login`)
  expect(await postgresAdapter.change(at, { as: target.admin, username, password: `quote' and "double"`, beforeSend: inTime })).toEqual({ change: 'applied' })
  expect(await target.logsIn(username, `quote' and "double"`)).toBe(true)
})

test('what the target refuses is definite, with a class and without its words', async () => {
  const [role, other] = [await target.createRole(), await target.createRole()]
  const attempt = (as: typeof role, username: string) => postgresAdapter.change(at, { as, username, password: 'x', beforeSend: inTime })
  expect(await attempt(role, other.username)).toEqual({ change: 'unchanged', reasonClass: 'denied' })
  expect(await attempt({ ...target.admin, password: 'wrong' }, other.username)).toEqual({ change: 'unchanged', reasonClass: 'denied' })
  expect(await attempt(target.admin, 'nobody_of_that_name')).toEqual({ change: 'unchanged', reasonClass: 'refused' })
  expect(await target.logsIn(other.username, other.password)).toBe(true)
})

test("a value that the target's own check of passwords refuses is refused by policy, and stays refused", async () => {
  const [role, checked] = [await target.createRole(), await target.createRole('login superuser')]
  await target.run(`alter role ${checked.username} set session_preload_libraries = 'passwordcheck'`)
  const set = (password: string) => postgresAdapter.change(at, { as: checked, username: role.username, password, beforeSend: inTime })
  for (let again = 0; again < 2; again += 1) expect(await set(role.username)).toEqual({ change: 'unchanged', reasonClass: 'policy-refused' })
  expect(await target.logsIn(role.username, role.password)).toBe(true)
  expect(await set('another')).toEqual({ change: 'applied' })
})

test('after the deadline nothing is sent', async () => {
  const role = await target.createRole()
  expect(await postgresAdapter.change(at, { as: target.admin, username: role.username, password: 'late', beforeSend: () => 0 })).toEqual({
    change: 'unchanged',
    reasonClass: 'late',
  })
  expect(await target.logsIn(role.username, role.password)).toBe(true)
})

test('a connection that ends after the change was sent leaves it unknown', async () => {
  const role = await target.createRole()
  const closing = { ...at, ...(await relay(({ toTarget }) => toTarget.includes('alter role'))) }
  expect(await postgresAdapter.change(closing, { as: target.admin, username: role.username, password: 'lost', beforeSend: inTime })).toEqual({
    change: 'unknown',
    reasonClass: 'interrupted',
  })
})

test('a login that the target never judged proves nothing', async () => {
  const locked = await target.createRole('nologin')
  const unreachable = await postgresAdapter.logIn({ ...at, port: 1 }, locked)
  expect(unreachable).toEqual({ login: 'unclear', reasonClass: 'unreachable' })
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

/** Passes bytes on to the target until `cut` says so; then both sides are closed before the target could answer. */
async function relay(cut: (seen: { toTarget: string }) => boolean): Promise<{ port: number }> {
  const { connect } = await import('node:net')
  const server = createServer((near) => {
    const far = connect(target.port, target.address)
    near.on('error', () => {}).on('close', () => far.destroy())
    far.on('error', () => {}).on('close', () => near.destroy())
    far.pipe(near)
    near.on('data', (bytes) => {
      if (cut({ toTarget: bytes.toString('latin1') })) near.destroy()
      else far.write(bytes)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  server.unref()
  return { port: (server.address() as { port: number }).port }
}

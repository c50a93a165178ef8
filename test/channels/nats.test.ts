import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, type NatsConnection } from 'nats'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { accountId, channel, notice, sender } from './world.ts'

/** A NATS of somebody else: with a user and a password, as channels are given them. */
let server: ChildProcess
let listener: NatsConnection
let url: string
beforeAll(async () => {
  const port = await freePort()
  url = `nats://127.0.0.1:${port}`
  server = spawn(process.env['LEASEHOLD_TEST_NATS'] ?? 'nats-server', ['--addr', '127.0.0.1', '--port', String(port), '--user', 'notices', '--pass', 'given'], {
    stdio: 'ignore',
  })
  const login = () => connect({ servers: url, user: 'notices', pass: 'given', reconnect: false })
  const limit = Date.now() + 10_000
  for (;;) {
    const connected = await login().catch(() => undefined)
    if (connected !== undefined) return void (listener = connected)
    if (Date.now() > limit) throw new Error('nats-server did not come up')
    await sleep(50)
  }
})
afterAll(async () => {
  await listener?.close()
  const ended = once(server, 'exit')
  server?.kill('SIGKILL')
  await ended
})

const target = (password: string) => channel('nats', { url, subject: 'pam.notices', username: 'notices', password })
const send = sender(['127.0.0.0/8'])

test('a notice is an event on the subject, with the id by which a stream drops what comes twice', async () => {
  const told = notice()
  const heard = listener.subscribe('pam.notices', { max: 1 })
  await listener.flush()
  expect(await send(accountId, told, target('given'))).toEqual({ state: 'delivered', receipt: 'nats' })
  for await (const { headers, data } of heard) {
    expect(['Nats-Msg-Id', 'ce-id', 'ce-type'].map((name) => headers?.get(name))).toEqual([told.id, told.id, 'leasehold.notice.break_glass.opened'])
    expect(JSON.parse(new TextDecoder().decode(data))).toMatchObject({ id: told.id, severity: 'critical', accountId })
  }
})

test('a wrong password is a failure, not a silence', async () => {
  expect(await send(accountId, notice(), target('taken'))).toMatchObject({ state: 'refused' })
})

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, type NatsConnection } from 'nats'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { reachable } from '#activities/channels/networks.ts'
import { createAuthority, issue, type Authority } from '#stack/certificates.ts'
import { freePort } from '../support/free-port.ts'
import { accountId, channel, notice, sender } from './world.ts'

/** A NATS of somebody else: with users and passwords, as channels are given them; and the same with TLS. */
const users = 'authorization { users = [ { user: notices, password: given }, { user: others, password: given, permissions: { publish: "other.>" } } ] }'

interface Place {
  readonly url: string
  readonly listener: NatsConnection
}

let folder: string
let authority: Authority
let plain: Place
let encrypted: Place
const servers: ChildProcess[] = []
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'leasehold-channel-nats-'))
  authority = await createAuthority('a test')
  const { cert, key } = await issue(authority, ['127.0.0.1', 'nats.example'])
  await Promise.all([writeFile(path.join(folder, 'cert.pem'), cert), writeFile(path.join(folder, 'key.pem'), key, { mode: 0o600 })])
  plain = await start('nats', '')
  encrypted = await start('tls', `tls { cert_file: "${folder}/cert.pem", key_file: "${folder}/key.pem" }`)
})
afterAll(async () => {
  await Promise.all([plain?.listener.close(), encrypted?.listener.close()])
  for (const server of servers) {
    const ended = once(server, 'exit')
    server.kill('SIGKILL')
    await ended
  }
  await rm(folder, { recursive: true, force: true })
})

async function start(protocol: 'nats' | 'tls', more: string): Promise<Place> {
  const port = await freePort()
  const file = path.join(folder, `${protocol}.conf`)
  await writeFile(file, `listen: "127.0.0.1:${port}"\n${users}\n${more}\n`)
  servers.push(spawn(process.env['LEASEHOLD_TEST_NATS'] ?? 'nats-server', ['--config', file], { stdio: 'ignore' }))
  const tls = protocol === 'tls' ? { tls: { ca: authority.cert, host: '127.0.0.1' } } : {}
  const limit = Date.now() + 10_000
  for (;;) {
    const listener = await connect({ servers: `127.0.0.1:${port}`, user: 'notices', pass: 'given', reconnect: false, ...tls }).catch(() => undefined)
    if (listener !== undefined) return { url: `${protocol}://127.0.0.1:${port}`, listener }
    if (Date.now() > limit) throw new Error('nats-server did not come up')
    await sleep(50)
  }
}

const target = ({ url = plain.url, username = 'notices', password = 'given' } = {}) => channel('nats', { url, subject: 'pam.notices', username, password })
const local = ['127.0.0.0/8']
const send = sender(local)
const trusting = (lookup?: () => Promise<{ address: string }[]>) =>
  sender([], undefined, { reach: { mayReach: reachable(local), ca: authority.cert, ...(lookup === undefined ? {} : { lookup }) } })

test('a notice is an event on the subject, with the id by which a stream drops what comes twice', async () => {
  const told = notice({ names: { a: 'Müller' }, facts: { place: 'Zürich' } })
  const heard = plain.listener.subscribe('pam.notices', { max: 1 })
  await plain.listener.flush()
  expect(await send(accountId, told, target())).toEqual({ state: 'delivered', receipt: 'nats' })
  for await (const { headers, data } of heard) {
    expect(
      Object.fromEntries(
        ['Nats-Msg-Id', 'ce-specversion', 'ce-id', 'ce-source', 'ce-type', 'ce-time', 'content-type'].map((name) => [name, headers?.get(name)]),
      ),
    ).toEqual({
      'Nats-Msg-Id': told.id,
      'ce-specversion': '1.0',
      'ce-id': told.id,
      'ce-source': 'leasehold',
      'ce-type': 'leasehold.notice.break_glass.opened',
      'ce-time': told.createdAt,
      'content-type': 'application/json',
    })
    expect(JSON.parse(new TextDecoder().decode(data))).toMatchObject({ id: told.id, severity: 'critical', accountId, facts: { place: 'Zürich' } })
  }
})

test('over TLS too, where the authority is believed and the name is that of the certificate', async () => {
  const heard = encrypted.listener.subscribe('pam.notices', { max: 3 })
  await encrypted.listener.flush()
  const { port } = new URL(encrypted.url)
  const named = (host: string) => target({ url: `tls://${host}:${port}` })
  const somewhere = async () => [{ address: '127.0.0.1' }]
  expect(await trusting()(accountId, notice(), target({ url: encrypted.url }))).toEqual({ state: 'delivered', receipt: 'nats' })
  expect(await trusting(somewhere)(accountId, notice(), named('nats.example'))).toEqual({ state: 'delivered', receipt: 'nats' })
  const receipts = [trusting(somewhere)(accountId, notice(), named('other.example')), send(accountId, notice(), target({ url: encrypted.url }))]
  expect((await Promise.all(receipts)).map(({ receipt }) => receipt)).toEqual(['ERR_TLS_CERT_ALTNAME_INVALID', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'])
  // A server that asks for TLS is given it, whatever the URL says.
  expect(await trusting()(accountId, notice(), target({ url: encrypted.url.replace('tls:', 'nats:') }))).toEqual({ state: 'delivered', receipt: 'nats' })
  await encrypted.listener.flush()
  expect(heard.getReceived()).toBe(3)
})

test('a wrong password is a failure, not a silence', async () => {
  expect(await send(accountId, notice(), target({ password: 'taken' }))).toEqual({ state: 'refused', receipt: 'nats-login-refused' })
})

test('a publication that the server refuses is no delivery', async () => {
  expect(await send(accountId, notice(), target({ username: 'others' }))).toEqual({ state: 'refused', receipt: 'nats-publish-refused' })
})

test('each address of a name is tried', async () => {
  const lookup = async () => [{ address: '127.0.0.2' }, { address: '127.0.0.1' }]
  const url = plain.url.replace('127.0.0.1', 'nats.example')
  expect(await sender(local, lookup)(accountId, notice(), target({ url }))).toEqual({ state: 'delivered', receipt: 'nats' })
})

import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Change, ChangeOutcome, Login, Target } from '#connector/adapters/adapter.ts'
import { httpAdapter } from '#connector/adapters/http.ts'
import { keyIdOf } from '#connector/http-template.ts'
import { runJob, type JobOutcome } from '#connector/run-job.ts'
import type { SealedJob } from '#schemas/connector-message.ts'
import type { HttpCalls } from '#schemas/http-calls.ts'
import { createAuthority, issue } from '#stack/certificates.ts'
import { adding, replacing, startKeyStore, type KeyStore } from '../support/key-store.ts'
import { everyAdapter } from './conformance.ts'

let store: KeyStore
beforeAll(async () => {
  store = await startKeyStore()
})
afterAll(() => store.end())

everyAdapter('http', () => ({
  adapter: httpAdapter,
  at: store.target,
  admin: store.admin,
  create: async (username) => store.create(username),
  logsIn: async ({ username, password }) => store.keysOf(username).includes(password),
  impostors: [
    { ...store.target, address: 'localhost' },
    { ...store.target, parameters: { ...store.target.parameters, ca: store.foreignAuthority } },
    { ...store.target, parameters: { calls: replacing } },
  ],
  impostorClass: 'certificate-mismatch',
  changesItself: true,
  judgesWithChange: true,
  refusedValue: async () => ({ as: store.admin, password: 'refused by the store' }),
}))

const inTime = (): number => 10_000
const withCalls = (calls: Partial<HttpCalls>, target = store.target): Target => ({
  ...target,
  parameters: { ...target.parameters, calls: { ...replacing, ...calls } },
})
const set = (account: Login, password: string, target: Target, more: Partial<Change> = {}): Promise<ChangeOutcome> =>
  httpAdapter.change(target, { as: store.admin, username: account.username, password, beforeSend: inTime, ...more })

const job = (account: Login, more: Partial<SealedJob> = {}, { adapter = httpAdapter, allows = true, target = store.twoKeys } = {}): Promise<JobOutcome> =>
  runJob(
    {
      v: 1,
      jobId: '0198c0de-0000-7000-8000-000000000001' as SealedJob['jobId'],
      epoch: 1,
      connectorId: '0198c0de-0000-7000-8000-000000000002' as SealedJob['connectorId'],
      kind: 'reset',
      deadlineMs: 10_000,
      target: { ...target, adapter: 'http' },
      account: { username: account.username },
      staged: 'the second key',
      known: account.password,
      admin: store.admin,
      macKey: 'A'.repeat(43),
      macKeyId: 'o1',
      ...more,
    },
    { adapters: { http: adapter }, allowList: { allows: () => allows }, remaining: inTime, step: () => {} },
  )

describe('where an account has two keys for a moment', () => {
  const swapped = { outcome: 'confirmed', reasonClass: null, stagedLogsIn: true, knownLogsIn: false }

  test('the new one is added and proven, the old one is taken away and proven gone; a job that was done already is done', async () => {
    const account = store.create()
    for (let run = 0; run < 2; run++) {
      expect(await job(account)).toEqual(swapped)
      expect(store.keysOf(account.username)).toEqual(['the second key'])
    }
  })

  test('an account does it itself by the key that it has', async () => {
    const account = store.create()
    expect(await job(account, { admin: null })).toEqual(swapped)
    expect(store.keysOf(account.username)).toEqual(['the second key'])
  })

  test('a key that the rules of the target refuse leaves the old one alone', async () => {
    const account = store.create()
    expect(await job(account, { staged: 'refused' })).toMatchObject({ outcome: 'unchanged', reasonClass: 'policy-refused' })
    expect(store.keysOf(account.username)).toEqual([account.password])
  })

  test.each(['change', 'remove'] as const)('a connector that dies before or after the call (%s) leaves what a probe brings to its end', async (step) => {
    for (const when of ['before', 'after'] as const) {
      const account = store.create()
      const dies = async (target: Target, asked: never): Promise<never> => {
        if (when === 'after') await httpAdapter[step]?.(target, asked)
        throw new Error('died')
      }
      await expect(job(account, {}, { adapter: { ...httpAdapter, [step]: dies } })).rejects.toThrow('died')
      const found = await job(account, { kind: 'probe' })
      if (step === 'change' && when === 'before') expect(found).toMatchObject({ outcome: 'unchanged', knownLogsIn: true })
      else expect(found).toEqual(swapped)
      expect(store.keysOf(account.username)).toHaveLength(1)
    }
  })

  test('an old key that cannot be taken away keeps the job in doubt, and so does one that still logs in', async () => {
    const account = store.create()
    const revoke = adding.revoke ?? expect.unreachable()
    const bent = (change: Partial<typeof revoke>) => withCalls({ ...adding, revoke: { ...revoke, ...change } }, store.twoKeys)
    expect(await job(account, {}, { target: bent({ headers: { authorization: 'Bearer {as.value}' } }) })).toMatchObject({
      outcome: 'unknown',
      reasonClass: 'denied',
    })
    expect(await job(account, {}, { target: bent({ path: '/accounts/{username}/keys/x{keyId}' }) })).toMatchObject({
      outcome: 'unknown',
      reasonClass: 'verify-failed',
      knownLogsIn: true,
    })
    expect(store.keysOf(account.username)).toEqual([account.password, 'the second key'])
    expect(await job(account, { kind: 'probe' })).toEqual(swapped)
  })
})

test('a host outside of the list of the connector is not dialled, whatever the job says', async () => {
  const account = store.create()
  const before = store.lines.length
  expect(await job(account, {}, { allows: false })).toMatchObject({ outcome: 'unchanged', reasonClass: 'not-allowed' })
  expect(await job(account, { kind: 'probe' }, { allows: false })).toMatchObject({ outcome: 'unknown', reasonClass: 'not-allowed' })
  expect(store.lines).toHaveLength(before)
})

test('a redirect is not followed: it proves nothing and changes nothing that we would know of', async () => {
  const account = store.create()
  const moved = { ...replacing.set, method: 'POST', path: '/moved' } as const
  expect(await set(account, 'x', withCalls({ set: moved }))).toEqual({ change: 'unknown', reasonClass: 'interrupted' })
  const verify = { ...replacing.verify, path: '/moved' }
  expect(await httpAdapter.logIn(withCalls({ verify }), account)).toEqual({ login: 'unclear', reasonClass: 'unverified' })
  expect(store.lines.slice(-2)).toEqual(['POST /moved', 'POST /moved'])
})

test('no value and no secret of the admin ever stands in a request line', async () => {
  const account = store.create()
  await job(account, { staged: 'canary-of-a-key' })
  const said = store.lines.join('\n')
  expect(said).toContain(keyIdOf(account.password))
  for (const secret of ['canary-of-a-key', account.password, store.admin.password]) {
    expect(said).not.toContain(secret)
    expect(said).not.toContain(encodeURIComponent(secret))
  }
})

test('a value goes into a header as it is or not at all', async () => {
  const account = store.create()
  const verify = { method: 'GET', path: '/me', headers: { Authorization: 'Bearer {value}' } } as const
  await set(account, 'plain-enough', store.target)
  expect(await httpAdapter.logIn(withCalls({ verify }), { ...account, password: 'plain-enough' })).toEqual({ login: 'accepted' })
  expect(await httpAdapter.logIn(withCalls({ verify }), { ...account, password: 'another' })).toEqual({ login: 'rejected' })
  expect(await httpAdapter.logIn(withCalls({ verify }), { ...account, password: 'blank behind ' })).toEqual({ login: 'unclear', reasonClass: 'unsupported' })
})

test.each(['a/b', '..', '.', 'a%2fb', 'a;b', 'a\\b'])(
  'the name %s, which could lead elsewhere in a path, is refused before anything is dialled',
  async (username) => {
    const before = store.lines.length
    expect(await set({ username, password: '' }, 'x', store.target)).toEqual({ change: 'unchanged', reasonClass: 'unsupported' })
    expect(store.lines).toHaveLength(before)
  },
)

test('calls that are none are not made', async () => {
  const account = store.create()
  for (const calls of [undefined, {}, { ...replacing, set: { ...replacing.set, path: '/{value}' } }]) {
    const target = { ...store.target, parameters: { ...store.target.parameters, calls } }
    expect(await set(account, 'x', target)).toEqual({ change: 'unchanged', reasonClass: 'unsupported' })
    expect(await httpAdapter.logIn(target, account)).toEqual({ login: 'unclear', reasonClass: 'unsupported' })
  }
})

describe('a server that', () => {
  /** Answers every request like that. */
  async function answering(status: number, body = ''): Promise<{ target: Target; end: () => void }> {
    const authority = await createAuthority('odd')
    const server = createServer(await issue(authority, ['127.0.0.1']), (_, response) => void response.writeHead(status).end(body))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    return {
      target: { address: '127.0.0.1', port, parameters: { ca: authority.cert, calls: replacing } },
      end: () => void server.close().closeAllConnections(),
    }
  }
  const account = { username: 'app', password: 'x' }

  test('lets everybody in proves nothing', async () => {
    const { target, end } = await answering(200)
    expect(await httpAdapter.logIn(target, account)).toEqual({ login: 'unclear', reasonClass: 'unverified' })
    end()
  })

  test.each([
    [500, { change: 'unknown', reasonClass: 'interrupted' }, { login: 'unclear', reasonClass: 'unreachable' }],
    [502, { change: 'unknown', reasonClass: 'interrupted' }, { login: 'unclear', reasonClass: 'unreachable' }],
    [408, { change: 'unknown', reasonClass: 'interrupted' }, { login: 'unclear', reasonClass: 'denied' }],
    [206, { change: 'unknown', reasonClass: 'interrupted' }, { login: 'unclear', reasonClass: 'unverified' }],
    [403, { change: 'unchanged', reasonClass: 'denied' }, { login: 'unclear', reasonClass: 'denied' }],
    [404, { change: 'unchanged', reasonClass: 'refused' }, { login: 'unclear', reasonClass: 'denied' }],
    [429, { change: 'unchanged', reasonClass: 'refused' }, { login: 'unclear', reasonClass: 'denied' }],
  ])('answers %i is understood', async (status, changed, logged) => {
    const { target, end } = await answering(status)
    expect([await set(account, 'y', target), await httpAdapter.logIn(target, account)]).toEqual([changed, logged])
    end()
  })

  test('never stops talking is left, and what it said before counts', async () => {
    const { target, end } = await answering(401, 'x'.repeat(1_000_000))
    expect(await httpAdapter.logIn(target, account)).toEqual({ login: 'rejected' })
    end()
  })
})

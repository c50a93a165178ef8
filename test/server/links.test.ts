import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { getRequestListener } from '@hono/node-server'
import { createUser } from '@nats-io/nkeys'
import { sql } from 'kysely'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTokenCheck } from '#api/access-token.ts'
import { mintUser, systemRights } from '#connector-bridge/identity/claims.ts'
import { natsKey, natsKeyNames, type NatsKey } from '#connector-bridge/identity/nats-key.ts'
import { operatorConfiguration } from '#connector-bridge/identity/operator.ts'
import { logIn } from '#connector-bridge/identity/user-login.ts'
import { keepConnected } from '#connector/connection.ts'
import { join, JoinRefusedError } from '#connector/join.ts'
import { createOpenBao } from '#secrets/openbao.ts'
import { createTransit } from '#secrets/transit.ts'
import { connectNative } from '#server/temporal-side.ts'
import type { TemporalTls } from '#server/temporal-link.ts'
import { connectTemporal } from '#server/temporal.ts'
import { createTrust } from '#server/trust.ts'
import { createAuthority, issue, type Authority, type Issued } from '#stack/certificates.ts'
import { connect } from '#store/connection.ts'
import { listenForDuties } from '#store/duty-signal.ts'
import { startApi, type TestApi } from '../api/support.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startNats, type TestNats } from '../support/nats.ts'
import { startOpenBao, type TestOpenBao } from '../support/openbao.ts'
import { startTemporal, type TestTemporal } from '../support/temporal.ts'
import { startTlsProxy, type TlsProxyOptions } from '../support/tls-proxy.ts'

let database: TestDatabase
let bao: TestOpenBao
let nats: TestNats
let signer: NatsKey
let temporal: TestTemporal
let api: TestApi
let authority: Authority
const http = createServer()
const trust = () => createTrust(authority.cert)
const limit = 1_500
const log = pino({ level: 'silent' })

beforeAll(async () => {
  ;[database, bao, temporal, authority] = await Promise.all([createTestDatabase(), startOpenBao(), startTemporal(), createAuthority('ours')])
  const transit = createTransit(bao.as('leasehold-bridge'))
  nats = await startNats(await operatorConfiguration(transit))
  signer = await natsKey(transit, natsKeyNames.system, 'account')
  api = await startApi(database)
  http.on('request', getRequestListener(api.app.fetch))
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
}, 60_000)
afterAll(async () => {
  await new Promise((resolve) => http.close(resolve).closeAllConnections())
  await api?.stop()
  await nats?.stop()
  await Promise.all([bao?.stop(), temporal?.stop()])
  await database?.end()
})

interface Link {
  /** The real server behind it. */
  readonly server: () => number
  readonly kind?: Pick<TlsProxyOptions, 'preamble' | 'protocols'>
  /** Says something to the real server over this port and hears its answer. @throws any Error when it cannot */
  readonly use: (port: number) => Promise<void>
}

const portOf = (url: string): number => Number(new URL(url).port)
const withPort = (url: string, port: number, query = ''): string => Object.assign(new URL(url), { port: String(port), search: query }).href
const postgres: Pick<Link, 'server' | 'kind'> = { server: () => portOf(database.url), kind: { preamble: 'postgres' } }
const natsServer: Pick<Link, 'server' | 'kind'> = { server: () => portOf(nats.url), kind: { preamble: 'nats' } }
const temporalServer: Pick<Link, 'server' | 'kind'> = { server: () => Number(temporal.address.split(':')[1]), kind: { protocols: ['h2'] } }
const login = (port: number) => ({
  url: withPort(database.url, port, '?sslmode=verify-full'),
  ca: authority.cert,
  user: 'leasehold_relay',
  password: database.password,
})
const temporalAt = (port: number) => ({ address: `127.0.0.1:${port}`, tls: { ca: authority.cert, serverName: undefined, client: undefined } })

const links: Readonly<Record<string, Link>> = {
  'PostgreSQL, the pool': {
    ...postgres,
    use: async (port) => {
      const db = connect({ ...login(port), max: 1 })
      await sql`select 1`.execute(db).finally(() => db.destroy())
    },
  },
  'PostgreSQL, the line that listens': {
    ...postgres,
    use: async (port) => {
      const signal = listenForDuties(login(port))
      const heard = async (): Promise<boolean> => {
        const query = `select from pg_stat_activity where datname = $1 and query = 'listen duties'`
        return (await database.superuser(query, [database.name])).rowCount !== 0
      }
      await until(heard).finally(signal.close)
    },
  },
  OpenBao: {
    server: () => portOf(bao.url),
    use: async (port) => {
      const client = createOpenBao({ url: `https://127.0.0.1:${port}`, ...bao.login('leasehold-bridge'), fetch: trust().fetch })
      await client.read(['leasehold-transit', 'keys', 'connector-signing'])
    },
  },
  'NATS, the bridge': {
    ...natsServer,
    use: async (port) => {
      const connection = await logIn({ natsUrl: `tls://127.0.0.1:${port}`, ca: authority.cert, inboxPrefix: '_INBOX.identity', signer, rights: systemRights })
      await connection.close()
    },
  },
  'NATS, a connector': {
    ...natsServer,
    use: async (port) => {
      const user = createUser()
      const jwt = await mintUser(signer, systemRights(user.getPublicKey()))
      const end = new AbortController()
      let served = false
      const kept = keepConnected({
        natsUrl: `tls://127.0.0.1:${port}`,
        ca: authority.cert,
        inboxPrefix: '_INBOX.identity',
        nkeySeed: new TextDecoder().decode(user.getSeed()),
        userJwt: () => jwt,
        serve: async (connection) => void (served = await connection.rtt().then(() => true)),
        log,
        signal: end.signal,
      })
      await until(async () => served).finally(() => end.abort())
      await kept
    },
  },
  'Temporal, the client': {
    ...temporalServer,
    use: async (port) => {
      const { namespaceId, close } = await connectTemporal(temporalAt(port), temporal.namespace, {})
      await namespaceId().finally(close)
    },
  },
  'Temporal, the worker': {
    ...temporalServer,
    use: async (port) => {
      const { connection, close } = await connectNative(temporalAt(port))
      await connection.workflowService.describeNamespace({ namespace: temporal.namespace }).finally(close)
    },
  },
  'the keys of the OIDC issuer': {
    server: () => portOf(api.issuer.url),
    use: async (port) => {
      const rules = { issuer: api.issuer.url, issuerUrl: `https://127.0.0.1:${port}`, audience: api.parts.config.apiAudience }
      await createTokenCheck({ ...rules, fetch: trust().fetch, developmentProvider: true })(await api.issuer.token('mia'))
    },
  },
  'the API, a connector that joins': {
    server: () => (http.address() as AddressInfo).port,
    use: async (port) => {
      const home = mkdtempSync(path.join(tmpdir(), 'leasehold-join-'))
      const options = { home, url: `https://127.0.0.1:${port}`, token: 'not-a-token-of-ours', allow: ['127.0.0.1:1'], ca: authority.cert, patienceMs: limit }
      const outcome = await join(options).catch((error: unknown) => error)
      rmSync(home, { recursive: true, force: true })
      // Refused by the API itself: it was reached.
      if (!(outcome instanceof JoinRefusedError)) throw outcome
    },
  },
}

async function until(done: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + limit; !(await done()); await sleep(30)) if (performance.now() > end) throw new Error('not in time')
}

/** What may stand where the real server should. */
const impostors: Readonly<Record<string, () => Promise<Pick<TlsProxyOptions, 'cert' | 'key' | 'maxVersion'>>>> = {
  'speaks TLS 1.2 at most': async () => ({ ...(await issue(authority, ['127.0.0.1'])), maxVersion: 'TLSv1.2' }),
  'has the certificate of an unknown authority': async () => issue(await createAuthority('theirs'), ['127.0.0.1']),
  'has the certificate of another host': () => issue(authority, ['localhost', 'other.example', '127.0.0.2']),
  'has a certificate that ended yesterday': () => issue(authority, ['127.0.0.1'], -1),
}

describe.each(Object.entries(links))('%s', (_name, { server, kind, use }) => {
  async function useBehind(options: Pick<TlsProxyOptions, 'cert' | 'key' | 'maxVersion'>): Promise<void> {
    const proxy = await startTlsProxy({ port: server(), ...kind, ...options })
    await use(proxy.port).finally(proxy.end)
  }

  test('works over TLS 1.3 with a certificate that is checked', async () => {
    await useBehind(await issue(authority, ['127.0.0.1']))
  })

  // These wait for what must not happen, so they do it together.
  test.concurrent.for(Object.entries(impostors))('refuses a server that %s', async ([, make], { expect }) => {
    await expect(useBehind(await make())).rejects.toThrow()
  })

  test.concurrent('refuses a server that speaks without TLS', async ({ expect }) => {
    await expect(use(server())).rejects.toThrow()
  })
})

describe.each(['client', 'worker'])('Temporal, the %s', (who) => {
  const reach = async (tls: Partial<TemporalTls>, options: Partial<TlsProxyOptions> & Issued): Promise<void> => {
    const proxy = await startTlsProxy({ port: temporalServer.server(), ...temporalServer.kind, ...options })
    const address = { address: `127.0.0.1:${proxy.port}`, tls: { ca: authority.cert, serverName: undefined, client: undefined, ...tls } }
    const open = who === 'client' ? connectTemporal(address, temporal.namespace, {}) : connectNative(address)
    await open.then(({ close }) => close()).finally(proxy.end)
  }

  test('believes a certificate of the name that it was told, and of no other', async () => {
    const server = await issue(authority, ['temporal.internal'])
    await reach({ serverName: 'temporal.internal' }, server)
    await expect(reach({ serverName: 'other.internal' }, server)).rejects.toThrow()
  })

  test('shows its own certificate to a server that asks for one', async () => {
    const [server, client, clients] = [await issue(authority, ['127.0.0.1']), await issue(authority, ['a role']), { clientAuthority: authority.cert }]
    await reach({ client }, { ...server, ...clients })
    await expect(reach({}, { ...server, ...clients })).rejects.toThrow()
  })
})

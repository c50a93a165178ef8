import { createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { sql } from 'kysely'
import { createApp, type App } from '#api/app.ts'
import { createNonces } from '#api/dpop-nonce.ts'
import type { Parts } from '#api/parts.ts'
import { createOpenBao } from '#secrets/openbao.ts'
import { createOrganizationSecrets } from '#secrets/organization-secret.ts'
import { createTransit } from '#secrets/transit.ts'
import { createVaultKeys } from '#secrets/vault-keys.ts'
import { connect, type Db } from '#store/connection.ts'
import { notifyDuties } from '#store/duties.ts'
import { passwordOf } from './credentials.ts'
import type { RoleContext, RunningRole } from './role.ts'

const poolSize = 16
const checkLimit = 1_500
const drainLimit = 4_000

/** The HTTP API: one port that all replicas share (SO_REUSEPORT) and one of this replica's own. */
export async function startApiRole({ config, credentials, log }: RoleContext): Promise<RunningRole> {
  const db = connect({ url: config.postgresUrl, user: 'leasehold_api', password: passwordOf(credentials, 'leasehold_api'), max: poolSize })
  const bao = createOpenBao({ url: config.openbaoUrl, ...credentials.openbao })
  const organizationSecrets = createOrganizationSecrets(bao)
  const transit = createTransit(bao)
  const stopping = new AbortController()
  const checks = {
    postgres: async () => (await sql`select 1`.execute(db)).rows.length === 1,
    openbao: async () =>
      (await fetch(new URL('/v1/sys/health', config.openbaoUrl), { signal: AbortSignal.timeout(checkLimit), redirect: 'error' })).status === 200,
  }
  const parts: Parts = {
    config,
    log,
    db,
    organizationSecrets,
    vaultKeys: createVaultKeys(organizationSecrets),
    requestHashKey: sharedKey(credentials.tenantSalt, 'leasehold/request-hash'),
    nonces: createNonces(sharedKey(credentials.tenantSalt, 'leasehold/dpop-nonce')),
    signingKeys: () => transit.jwks('connector-signing'),
    wakeLoops: createWake(db),
    stopping: stopping.signal,
    checks: Object.fromEntries(Object.entries(checks).map(([name, check]) => [name, () => within(check())])),
  }
  const app = createApp(parts)
  const servers = [await listen(app, config.apiPort, true)]
  if (config.apiReplicaPort !== undefined) servers.push(await listen(app, config.apiReplicaPort, false))
  return {
    ready: async () => {
      const states = await Promise.all(Object.entries(parts.checks).map(async ([name, check]) => [name, (await check()) ? 'ok' : 'down'] as const))
      return Object.fromEntries(states)
    },
    drain: async () => {
      stopping.abort()
      await Promise.all(servers.map(close))
      await db.destroy()
    },
  }
}

/** The same in every replica and after every restart: requests and nonces are recognised again. */
const sharedKey = (tenantSalt: string, purpose: string): KeyObject =>
  createSecretKey(Buffer.from(hkdfSync('sha256', Buffer.from(tenantSalt, 'base64url'), new Uint8Array(), purpose, 32)))

/** One notification for all commits of 10 ms; the loops poll besides, so a lost one only costs time. */
function createWake(db: Db): () => void {
  let pending = false
  return () => {
    if (pending) return
    pending = true
    setTimeout(() => {
      pending = false
      notifyDuties(db).catch(() => {})
    }, 10)
  }
}

function listen(app: App, port: number, shared: boolean): Promise<Server> {
  const server = createServer(
    { keepAliveTimeout: 65_000, headersTimeout: 10_000, requestTimeout: 30_000 },
    getRequestListener(app.fetch, { overrideGlobalObjects: false }),
  )
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, host: '127.0.0.1', reusePort: shared }, () => resolve(server))
  })
}

/** Takes no new connection, lets running requests end, then cuts what is left. */
async function close(server: Server): Promise<void> {
  const idle = setInterval(() => server.closeIdleConnections(), 50)
  const limit = setTimeout(() => server.closeAllConnections(), drainLimit)
  await new Promise<void>((resolve) => server.close(() => resolve()))
  clearInterval(idle)
  clearTimeout(limit)
}

/** false when a check fails or takes too long. */
async function within(check: Promise<boolean>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), checkLimit)
  })
  return Promise.race([check.catch(() => false), late]).finally(() => clearTimeout(timer))
}

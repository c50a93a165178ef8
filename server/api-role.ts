import type { Server } from 'node:http'
import { sql } from 'kysely'
import { answerHeaders } from '#api/answer-headers.ts'
import { createApp, type App } from '#api/app.ts'
import { createNonces } from '#api/dpop-nonce.ts'
import type { Parts } from '#api/parts.ts'
import { createCedarDecisionPoint } from '#policy/cedar.ts'
import { createAccountKeys } from '#secrets/account-key.ts'
import { createOrganizationSecrets } from '#secrets/organization-secret.ts'
import { createPassphrases } from '#secrets/passphrase.ts'
import { createTransit } from '#secrets/transit.ts'
import { createVaultKeys } from '#secrets/vault-keys.ts'
import { connect, inAccount, type Db } from '#store/connection.ts'
import { notifyDuties } from '#store/duties.ts'
import { readPolicies } from '#store/policy-set.ts'
import { temporalSilence } from '#store/relay-state.ts'
import type { Config } from './config.ts'
import { passwordOf } from './credentials.ts'
import { listen, type Place } from './listener.ts'
import { createFirstTries } from './first-tries.ts'
import { openBaoOf } from './openbao.ts'
import { apiMeter } from './metrics/api.ts'
import { heartbeatGauge } from './metrics/duties.ts'
import { contentType, type Metrics } from './metrics/metrics.ts'
import { watchPools } from './metrics/pools.ts'
import type { RoleContext, RunningRole } from './role.ts'
import { decisionLinkPurpose, sharedKey } from './shared-key.ts'
import { sendingOf } from './sending.ts'

const poolSize = 16
const checkLimit = 1_500
const drainLimit = 4_000

/** The HTTP API: ports that all replicas share (SO_REUSEPORT) and one of this replica's own. */
export async function startApiRole({ config, credentials, trust, certificate, log, metrics }: RoleContext): Promise<RunningRole> {
  const postgres = { url: config.postgresUrl, ca: trust.ca, user: 'leasehold_api', password: passwordOf(credentials, 'leasehold_api') }
  const db = connect({ ...postgres, max: poolSize })
  const bao = openBaoOf({ config, credentials, trust })
  const organizationSecrets = createOrganizationSecrets(bao)
  const accountKeys = createAccountKeys(bao)
  const send = sendingOf({ config, credentials, trust }, accountKeys)
  const firstTries = createFirstTries({ db, send, log })
  const transit = createTransit(bao)
  const stopping = new AbortController()
  const checks = {
    postgres: async () => (await sql`select 1`.execute(db)).rows.length === 1,
    openbao: async () =>
      (await trust.fetch(new URL('/v1/sys/health', config.openbaoUrl), { signal: AbortSignal.timeout(checkLimit), redirect: 'error' })).status === 200,
  }
  watchPools(metrics.registry, { leasehold_api: db })
  metrics.readAtScrape('leasehold_api', () => temporalSilence(db), heartbeatGauge(metrics.registry))
  const parts: Parts = {
    config,
    log,
    fetch: trust.fetch,
    db,
    decisionPoint: createCedarDecisionPoint(({ accountId, version }) => inAccount(db, accountId, (trx) => readPolicies(trx, version)), config.acrOrder),
    organizationSecrets,
    vaultKeys: createVaultKeys(organizationSecrets),
    accountKeys,
    notices: { announce: firstTries.announce, send },
    requestHashKey: sharedKey(credentials.tenantSalt, 'leasehold/request-hash'),
    cursorKey: sharedKey(credentials.tenantSalt, 'leasehold/cursor'),
    decisionLinkKey: sharedKey(credentials.tenantSalt, decisionLinkPurpose),
    nonces: createNonces(sharedKey(credentials.tenantSalt, 'leasehold/dpop-nonce')),
    passphrases: createPassphrases(sharedKey(credentials.tenantSalt, 'leasehold/break-glass')),
    emergencyTokenKey: sharedKey(credentials.tenantSalt, 'leasehold/emergency-token'),
    signingKeys: () => transit.jwks('connector-signing'),
    wakeLoops: createWake(db),
    meter: apiMeter(metrics.registry),
    stopping: stopping.signal,
    checks: Object.fromEntries(Object.entries(checks).map(([name, check]) => [name, () => within(check())])),
  }
  const app = createApp(parts)
  const servers = await Promise.all(
    placesOf(config).map(({ tls, ...place }) => listen(place.shared ? app.fetch : besideMetrics(app, metrics), place, tls ? certificate : undefined)),
  )
  return {
    ready: async () => {
      const states = await Promise.all(Object.entries(parts.checks).map(async ([name, check]) => [name, (await check()) ? 'ok' : 'down'] as const))
      return Object.fromEntries(states)
    },
    drain: async () => {
      stopping.abort()
      await Promise.all([...servers.map(close), firstTries.settled()])
      await db.destroy()
    },
  }
}

/** In production everything is TLS; in dev mode TLS is there besides. A replica's own port is for this machine only. */
function placesOf({ mode, apiHost, apiPort, apiReplicaPort, apiTlsPort }: Config): (Place & { readonly tls: boolean })[] {
  const tls = mode === 'production'
  return [
    { host: apiHost, port: apiPort, shared: true, tls },
    ...(apiReplicaPort === undefined ? [] : [{ host: '127.0.0.1', port: apiReplicaPort, shared: false, tls }]),
    ...(apiTlsPort === undefined ? [] : [{ host: apiHost, port: apiTlsPort, shared: true, tls: true }]),
  ]
}

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

/** Figures are for operators: the replica's own port gives them, the port that callers share does not. */
function besideMetrics(app: App, metrics: Metrics): App['fetch'] {
  return async (request, env, context) => {
    if (request.method !== 'GET' || new URL(request.url).pathname !== '/metrics') return app.fetch(request, env, context)
    return new Response(await metrics.render(), { headers: { ...answerHeaders, 'content-type': contentType } })
  }
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

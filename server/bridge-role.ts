import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { createBridge } from '#connector-bridge/bridge.ts'
import { startDutyLoop } from '#connector-bridge/duty-loop.ts'
import { createOrganizationSecrets } from '#secrets/organization-secret.ts'
import { createTransit } from '#secrets/transit.ts'
import { createVaultKeys } from '#secrets/vault-keys.ts'
import { connect } from '#store/connection.ts'
import { listenForDuties } from '#store/duty-signal.ts'
import { readDutyFigures } from '#store/duty-figures.ts'
import { passwordOf } from './credentials.ts'
import { openBaoOf } from './openbao.ts'
import { dutyGauges, dutyMeter } from './metrics/duties.ts'
import { jobMeter } from './metrics/jobs.ts'
import { watchPools } from './metrics/pools.ts'
import type { RoleContext, RunningRole } from './role.ts'

const poolSize = 8
const checkLimit = 1_500
/** New organizations are heard after this time at the latest, ms. */
const listenEvery = 1_000
/** Claims of accounts are compared with the servers, ms. */
const reconcileEvery = 60_000

/** The NATS side of connectors: their identities, offers, claims and results. */
export async function startBridgeRole({ config, credentials, trust, log, metrics }: RoleContext): Promise<RunningRole> {
  const login = { url: config.postgresUrl, ca: trust.ca, user: 'leasehold_bridge', password: passwordOf(credentials, 'leasehold_bridge') }
  const db = connect({ ...login, max: poolSize })
  const bao = openBaoOf({ config, credentials, trust })
  const transit = createTransit(bao)
  const bridge = createBridge({
    db,
    transit,
    vaultKeys: createVaultKeys(createOrganizationSecrets(bao)),
    natsUrl: config.natsUrl,
    ca: trust.ca,
    log,
    meter: jobMeter(metrics.registry),
  })
  const signal = listenForDuties(login)
  const loop = startDutyLoop({ db, fulfil: bridge.fulfil, wait: signal.wait, log, meter: dutyMeter(metrics.registry) })
  watchPools(metrics.registry, { leasehold_bridge: db })
  metrics.readAtScrape('leasehold_bridge', () => readDutyFigures(db, ['offer', 'connector']), dutyGauges(metrics.registry))
  const stopping = new AbortController()
  const chores = [
    every(reconcileEvery, bridge.reconcile, 'the claims of accounts could not be compared'),
    every(listenEvery, bridge.listenToAll, 'an organization cannot be heard'),
  ]

  /** At once, then every so many ms after the last time; after a failure sooner. */
  async function every(pause: number, chore: () => Promise<void>, complaint: string): Promise<void> {
    while (!stopping.signal.aborted) {
      const done = await chore().then(
        () => true,
        (error: unknown) => {
          log.warn({ err: error }, complaint)
          return false
        },
      )
      await sleep(done ? pause : Math.min(pause, 2_000), undefined, { signal: stopping.signal }).catch(() => {})
    }
  }

  return {
    ready: async () => ({
      postgres: await isUp(() => sql`select 1`.execute(db)),
      nats: await isUp(bridge.ping),
      openbao: await isUp(() => transit.signingKeys('connector-signing')),
    }),
    drain: async () => {
      stopping.abort()
      await Promise.all([loop.stop(), ...chores])
      await bridge.close()
      await signal.close()
      await db.destroy()
    },
  }
}

const isUp = (check: () => Promise<unknown>): Promise<'ok' | 'down'> =>
  Promise.race([
    check().then(
      () => 'ok' as const,
      () => 'down' as const,
    ),
    sleep(checkLimit, 'down' as const),
  ])

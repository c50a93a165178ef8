import { sql } from 'kysely'
import { createBreakGlassReviewActivities } from '#activities/break-glass-review.ts'
import { createAccessRequestActivities } from '#activities/access-request.ts'
import { createLeaseActivities } from '#activities/lease.ts'
import { createNotificationActivities } from '#activities/notification.ts'
import { createRecertificationActivities } from '#activities/recertification.ts'
import { createReencryptionActivities } from '#activities/reencryption.ts'
import { createRotationCampaignActivities } from '#activities/rotation-campaign.ts'
import { createRotationActivities } from '#activities/rotation.ts'
import { createSupportAccessActivities } from '#activities/support-access.ts'
import { createSweepActivities } from '#activities/sweep.ts'
import { createAccountKeys } from '#secrets/account-key.ts'
import { createOrganizationSecrets } from '#secrets/organization-secret.ts'
import { createVaultKeys } from '#secrets/vault-keys.ts'
import { connect, type Db } from '#store/connection.ts'
import { listenForDuties } from '#store/duty-signal.ts'
import { readBreakGlassFigures } from '#store/break-glass-figures.ts'
import { startAccessReview } from './access-review.ts'
import { workflowDuties } from '#store/duties.ts'
import { readDutyFigures } from '#store/duty-figures.ts'
import { readNoticeFigures } from '#store/notice-figures.ts'
import { temporalSilence } from '#store/relay-state.ts'
import { readExpirerFigures } from '#store/expirer-figures.ts'
import { passwordOf } from './credentials.ts'
import { breakGlassGauges } from './metrics/break-glass.ts'
import { dutyGauges, dutyMeter, heartbeatGauge } from './metrics/duties.ts'
import { expirerGauges, expirerMeter, reconcileMeter } from './metrics/expirer.ts'
import { noticeGauges } from './metrics/notices.ts'
import { watchPools } from './metrics/pools.ts'
import { startExpirer } from './expirer.ts'
import { startHousekeeping } from './housekeeping.ts'
import { startLoop } from './loop.ts'
import { openBaoOf } from './openbao.ts'
import { startUrgentNotices } from './urgent-notices.ts'
import type { RoleContext, RunningRole } from './role.ts'
import { sendingOf } from './sending.ts'
import { startSupportExpirer } from './support-expirer.ts'
import { startTemporalSide } from './temporal-side.ts'

/** A lost notification costs no more than a poll; this only lets the wait end now and then, ms. */
const longestWait = 10_000
const poolSizes = { leasehold_worker: 12, leasehold_relay: 4, leasehold_expirer: 2 } as const

/**
 * Everything that takes time: Temporal's workflows and activities, the relay of duties, and the expirer, which goes on
 * while Temporal or OpenBao are down.
 */
export async function startWorkerRole({
  config,
  credentials,
  trust,
  temporalTls,
  log,
  metrics: { registry, readAtScrape },
}: RoleContext): Promise<RunningRole> {
  const postgres = { url: config.postgresUrl, ca: trust.ca }
  const open = (user: keyof typeof poolSizes): Db => connect({ ...postgres, user, password: passwordOf(credentials, user), max: poolSizes[user] })
  const worker = open('leasehold_worker')
  const relay = open('leasehold_relay')
  const expirer = open('leasehold_expirer')
  const bao = openBaoOf({ config, credentials, trust })
  const vaultKeys = createVaultKeys(createOrganizationSecrets(bao))
  const send = sendingOf({ config, credentials, trust }, createAccountKeys(bao))
  const activities = {
    ...createLeaseActivities(worker),
    ...createRotationActivities({ db: worker, vaultKeys }),
    ...createRotationCampaignActivities(worker),
    ...createSupportAccessActivities(worker),
    ...createSweepActivities({ expirer, worker }),
    ...createBreakGlassReviewActivities(worker),
    ...createReencryptionActivities({ db: worker, vaultKeys }),
    ...createNotificationActivities({ db: worker, send }),
    ...createAccessRequestActivities(worker),
    ...createRecertificationActivities(worker),
  }
  const temporalSide = startTemporalSide({
    config,
    temporalTls,
    log,
    bao,
    relay,
    activities,
    meters: { duties: dutyMeter(registry), reconcile: reconcileMeter(registry) },
  })
  const reviewing = startAccessReview({ expirer, queue: relay, worker, log, onEnded: temporalSide.wake })
  const signal = listenForDuties({ ...postgres, user: 'leasehold_relay', password: passwordOf(credentials, 'leasehold_relay') })
  const listening = startLoop({
    name: 'duty news',
    everyMs: 0,
    log,
    turn: async () => {
      await signal.wait(longestWait)
      temporalSide.wake()
      reviewing.wake()
      return true
    },
  })
  const expiring = startExpirer({ expirer, worker, log, meter: expirerMeter(registry), onEnded: temporalSide.wake })
  const endingSupport = startSupportExpirer({
    expirer,
    worker,
    log,
    onEnded: () => {
      temporalSide.wake()
      reviewing.wake()
    },
  })
  const urgent = startUrgentNotices({ expirer, worker, send, log })
  const housekeeping = startHousekeeping(expirer, log)
  watchPools(registry, { leasehold_worker: worker, leasehold_relay: relay, leasehold_expirer: expirer })
  readAtScrape('leasehold_relay', () => readDutyFigures(relay, [...workflowDuties, 'vault_access', 'user_access']), dutyGauges(registry))
  readAtScrape('leasehold_worker', () => temporalSilence(worker), heartbeatGauge(registry))
  readAtScrape('leasehold_expirer', () => readExpirerFigures(expirer), expirerGauges(registry))
  readAtScrape('leasehold_expirer', () => readBreakGlassFigures(expirer), breakGlassGauges(registry))
  readAtScrape('leasehold_expirer', () => readNoticeFigures(expirer), noticeGauges(registry))
  return {
    ready: async () => ({
      postgres: await sql`select 1`.execute(worker).then(
        () => 'ok' as const,
        () => 'down' as const,
      ),
      temporal: (await temporalSide.isUp()) ? 'ok' : 'down',
    }),
    drain: async () => {
      await Promise.all([
        expiring.stop(),
        endingSupport.stop(),
        urgent.stop(),
        reviewing.stop(),
        housekeeping.stop(),
        temporalSide.stop(),
        listening.stop(),
        signal.close(),
      ])
      await Promise.all([worker.destroy(), relay.destroy(), expirer.destroy()])
    },
  }
}

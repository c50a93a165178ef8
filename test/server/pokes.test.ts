import { NativeConnection } from '@temporalio/worker'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createLeaseActivities } from '#activities/lease.ts'
import type { LeaseId } from '#schemas/ids.ts'
import { startExpirer } from '#server/expirer.ts'
import { ensureSearchAttributes } from '#server/reconcile.ts'
import { poke, startRelay } from '#server/relay.ts'
import { createTemporalWorker, installRuntime, type Activities, type TemporalWorker } from '#server/temporal-worker.ts'
import { connectTemporal, type Temporal } from '#server/temporal.ts'
import type { Db } from '#store/connection.ts'
import { claimDuties, recordDelivered, reopenDuties, type Duty } from '#store/duties.ts'
import { extendLease } from '#store/extend-lease.ts'
import { releaseLease } from '#store/release-lease.ts'
import { workflowIdOf } from '#workflows/messages.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { checkOut } from '../support/leases.ts'
import { keptBundle } from '../support/kept-bundle.ts'
import { startTemporal, type TestTemporal } from '../support/temporal.ts'
import { createVaultWorld, type VaultWorld } from '../support/vault-world.ts'

const taskQueueSuffix = '-pokes'
const log = pino({ level: 'silent' })

let database: TestDatabase
let world: VaultWorld
let server: TestTemporal
let temporal: Temporal
let native: NativeConnection
let worker: TemporalWorker
let running: Promise<void>
let relay: Db
beforeAll(async () => {
  installRuntime(log)
  const [made, started, bundle] = await Promise.all([createTestDatabase(), startTemporal(), keptBundle()])
  database = made
  server = started
  world = await createVaultWorld(database, database.as('leasehold_api', 4))
  relay = database.as('leasehold_relay')
  await ensureSearchAttributes(server.client, server.namespace)
  temporal = await connectTemporal({ address: server.address, tls: undefined }, server.namespace, {})
  native = await NativeConnection.connect({ address: server.address })
  // Leases alone: their identities have no hosts, so nothing rotates.
  const activities = { ...createLeaseActivities(database.as('leasehold_worker')), deliverNotice: async () => {} } as unknown as Activities
  worker = await createTemporalWorker({
    connection: native,
    namespace: server.namespace,
    taskQueue: `leasehold${taskQueueSuffix}`,
    workflowBundle: bundle,
    activities,
  })
  running = worker.run()
}, 60_000)
afterAll(async () => {
  worker?.shutdown()
  await running
  await native?.close()
  await temporal?.close()
  await server?.stop()
  await database?.end()
})

/** The same numbers from 0 to 1 at every run (Park and Miller). */
function dice(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 48_271) % 2_147_483_647
    return state / 2_147_483_647
  }
}

const roll = dice(20_261)
const held: Duty[] = []
const dealt = { lost: 0, doubled: 0, late: 0 }

/** A relay as bad as can be: it says of every duty that it was delivered, loses a third, doubles a third, and keeps the rest for later. */
async function relayBadly(): Promise<void> {
  for (const duty of await claimDuties(relay, ['lease'], { limit: 100, holdMs: 10_000 })) {
    const lot = roll()
    if (lot < 1 / 3) dealt.lost += 1
    else if (lot < 2 / 3) {
      dealt.doubled += 1
      await Promise.all([poke(temporal, taskQueueSuffix, duty), poke(temporal, taskQueueSuffix, duty)])
    } else held.push(duty)
    await recordDelivered(relay, duty)
  }
}

/** Old news after newer ones, in the wrong order. */
async function deliverLate(): Promise<void> {
  dealt.late += held.length
  for (const duty of held.splice(0).toReversed()) await poke(temporal, taskQueueSuffix, duty)
}

test('a relay that loses, doubles and reorders pokes changes nothing about how leases end', async () => {
  const { account } = world
  const [mia, actor] = [await account.principal('mia'), account.people.mia.actor]
  const identities = await Promise.all(Array.from({ length: 24 }, () => world.addIdentity()))
  const leases: LeaseId[] = []
  for (const { id } of identities) leases.push((await account.run((trx) => checkOut(trx, mia, id))).leaseId)
  const [givenBack, expiring, open] = [leases.slice(0, 8), leases.slice(8, 16), leases.slice(16)]
  await relayBadly()
  for (const leaseId of leases) await account.run((trx) => extendLease(trx, { leaseId, minutes: 10, principal: mia, actor }))
  await relayBadly()
  for (const leaseId of givenBack) await account.run((trx) => releaseLease(trx, { leaseId, cause: 'checked_in', actor }))
  await database.superuser(`update lease set started_at = started_at - interval '2 hours', expires_at = clock_timestamp() where id = any($1)`, [expiring])
  const expirer = startExpirer({ expirer: database.as('leasehold_expirer'), worker: database.as('leasehold_worker'), log, onEnded: () => {} })
  await relayBadly()
  await deliverLate()
  const causes = async (some: LeaseId[]) =>
    (await database.superuser(`select distinct coalesce(end_cause, state) as cause from lease where id = any($1)`, [some])).rows.map((row) => row.cause)
  await expect.poll(() => causes(expiring), { timeout: 15_000, interval: 50 }).toEqual(['expired'])
  await relayBadly()
  await deliverLate()
  await expirer.stop()
  expect(Math.min(dealt.lost, dealt.doubled, dealt.late)).toBeGreaterThan(8)

  expect([await causes(givenBack), await causes(open)]).toEqual([['checked_in'], ['active']])
  const { rows } = await database.superuser(
    `select lease_id, count(*)::int as ends from audit_event where account_id = $1 and action = 'lease.ended' group by 1`,
    [account.id],
  )
  expect(rows.map((row) => row.ends)).toEqual(Array.from({ length: 16 }, () => 1))

  // What was lost is found again: a good relay and one reconciliation, and every open lease is watched.
  await reopenDuties(['lease'], (reopen) => reopen(relay))
  const good = startRelay({ db: relay, temporal, taskQueueSuffix, log, onNewNamespace: () => {} })
  const states = async () => new Set(await Promise.all(open.map(stateOf)))
  await expect.poll(states, { timeout: 30_000, interval: 200 }).toEqual(new Set(['RUNNING']))
  await good.stop()
}, 120_000)

const stateOf = (leaseId: LeaseId): Promise<string> =>
  temporal.client.workflow
    .getHandle(workflowIdOf('lease', { accountId: world.account.id, subjectId: leaseId }))
    .describe()
    .then(({ status }) => status.name)
    .catch((error: Error) => error.name)

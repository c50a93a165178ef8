import { randomUUID } from 'node:crypto'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startExpirer } from '#server/expirer.ts'
import { listenForHealth } from '#server/health.ts'
import { apiMeter } from '#server/metrics/api.ts'
import { dutyGauges, heartbeatGauge } from '#server/metrics/duties.ts'
import { expirerMeter, expirerGauges } from '#server/metrics/expirer.ts'
import { createMetrics } from '#server/metrics/metrics.ts'
import { watchPools } from '#server/metrics/pools.ts'
import { connect } from '#store/connection.ts'
import { claimDuties, recordFailure, returnDuty } from '#store/duties.ts'
import { readDutyFigures } from '#store/duty-figures.ts'
import { temporalSilence } from '#store/relay-state.ts'
import { readExpirerFigures } from '#store/expirer-figures.ts'
import { createApiWorld, type ApiWorld } from '../api/world.ts'
import { startCutProxy } from '../support/cut-proxy.ts'
import { freePort } from '../support/free-port.ts'

let world: ApiWorld
const metrics = createMetrics()
beforeAll(async () => {
  world = await createApiWorld({ meter: apiMeter(metrics.registry) })
})
afterAll(() => world?.end())

const checkout = (sub: string, id: string) => world.post(sub, `/v1/identities/${id}/checkout`, { reason: 'metrics', durationMinutes: 30 })

/** The figure of one series; undefined when there is none. */
function figure(text: string, series: string): number | undefined {
  const line = text.split('\n').find((one) => one.startsWith(`${series} `))
  return line === undefined ? undefined : Number(line.slice(series.length + 1))
}

test('the API counts requests by route and checkouts by outcome, and names nobody and nothing of a tenant', async () => {
  const id = await world.addIdentity('counted')
  expect((await checkout('sam', id)).status).toBe(201)
  expect((await checkout('mia', id)).status).toBe(409)
  expect((await checkout('vic', id)).status).toBe(403)
  await world.call('sam', 'GET', `/v1/nowhere/${id}`)
  const text = await metrics.render()
  expect(figure(text, 'leasehold_checkouts_total{outcome="granted"}')).toBe(1)
  expect(figure(text, 'leasehold_checkouts_total{outcome="identity-checked-out"}')).toBe(1)
  expect(figure(text, 'leasehold_checkouts_total{outcome="forbidden"}')).toBe(1)
  expect(figure(text, 'leasehold_checkout_duration_seconds_count')).toBe(3)
  const requests = 'leasehold_http_request_duration_seconds_count'
  expect(figure(text, `${requests}{method="POST",route="/v1/identities/:id/checkout",status="201"}`)).toBe(1)
  expect(figure(text, `${requests}{method="any",route="none",status="404"}`)).toBe(1)
  expect(figure(text, 'process_cpu_seconds_total')).toBeGreaterThan(0)
  for (const word of [id, world.vaultId, world.organizationId, 'nowhere', 'counted', 'acme', 'sam']) expect(text).not.toContain(word)
  expect(text.match(/[0-9a-f]{8}-[0-9a-f]{4}-/)).toBeNull()
})

test('a value that was changed outside of Leasehold is counted', async () => {
  const id = await world.addIdentity('changed')
  await world.database.superuser(
    `update credential_version set ciphertext = set_byte(ciphertext, 20, 1 + get_byte(ciphertext, 20) % 255) where identity_id = $1`,
    [id],
  )
  expect((await checkout('sam', id)).body.code).toBe('decryption-failed')
  expect(figure(await metrics.render(), 'leasehold_decryption_failures_total')).toBe(1)
})

test('the age of a duty grows through failed attempts, and a quarantined one is counted apart', async () => {
  const relay = world.database.as('leasehold_relay')
  await world.database.superuser('delete from obligation')
  const id = await world.addIdentity('slow')
  await checkout('sam', id)
  await world.database.superuser(`update obligation set due_since = due_since - interval '10 minutes'`)
  const claim = async () => (await claimDuties(relay, ['lease', 'rotation'], { limit: 10, holdMs: 0 }))[0] ?? expect.unreachable()
  await returnDuty(relay, await claim(), 0)
  const read = async () => (await readDutyFigures(relay, ['lease', 'rotation'])).find((one) => one.kind === 'lease')
  expect(await read()).toMatchObject({ undelivered: 1, quarantined: 0, lagSeconds: expect.closeTo(600, -2) })
  const duty = await claim()
  for (let failure = 0; failure < 20; failure += 1) await recordFailure(relay, duty, 'TestError')
  expect(await read()).toMatchObject({ undelivered: 0, quarantined: 1, lagSeconds: 0 })
})

test('the figures of what is owed come from indexes', async () => {
  await world.database
    .superuser(`insert into obligation (account_id, kind, subject_id, delivered, closed) select gen_random_uuid(), 'lease', gen_random_uuid(), 1, true
    from generate_series(1, 20000)`)
  await world.database.superuser('analyze obligation')
  const { rows } = await world.database.superuser(`explain select count(*), min(due_since) from obligation o
    where o.kind = 'lease' and o.delivered < o.version and o.quarantined_at is null`)
  expect(JSON.stringify(rows)).toContain('obligation_owed')
})

test('overdue leases are shown until they are ended, and what ended them is counted', async () => {
  const own = createMetrics()
  const expirer = world.database.as('leasehold_expirer', 2)
  own.readAtScrape('leasehold_expirer', () => readExpirerFigures(expirer), expirerGauges(own.registry))
  const { body } = await checkout('sam', await world.addIdentity('late'))
  await world.database.superuser(`update lease set started_at = now() - interval '2 hours', expires_at = now() - interval '1 hour' where id = $1`, [
    body.lease.id,
  ])
  const before = await own.render()
  expect(figure(before, 'leasehold_expirer_overdue_leases')).toBe(1)
  expect([figure(before, 'leasehold_credentials_drifted'), figure(before, 'leasehold_credentials_unreachable')]).toEqual([0, 0])
  expect(figure(before, 'leasehold_expirer_oldest_overdue_seconds')).toBeGreaterThanOrEqual(3_600)
  const worker = world.database.as('leasehold_worker')
  const loop = startExpirer({ expirer, worker, log: pino({ level: 'silent' }), meter: expirerMeter(own.registry), onEnded: () => {} })
  await expect.poll(async () => figure(await own.render(), 'leasehold_expirer_overdue_leases'), { timeout: 10_000, interval: 200 }).toBe(0)
  await loop.stop()
  expect(figure(await own.render(), 'leasehold_expirer_ended_total')).toBe(1)
})

test.each(['freeze', 'closed'] as const)(
  'a scrape while PostgreSQL is behind a connection that is %s answers within 5 s, says so, and shows no old figures',
  async (mode) => {
    const url = new URL(world.database.url)
    const proxy = await startCutProxy({ host: url.hostname, port: Number(url.port) })
    url.port = String(proxy.port)
    const db = connect({ url: url.href, user: 'leasehold_relay', password: world.database.password, max: 2 })
    const own = createMetrics()
    own.readAtScrape('leasehold_relay', () => readDutyFigures(db, ['lease', 'rotation']), dutyGauges(own.registry))
    own.readAtScrape('leasehold_api', () => temporalSilence(db), heartbeatGauge(own.registry))
    watchPools(own.registry, { leasehold_relay: db })
    const port = await freePort()
    const server = listenForHealth(port, [], own)
    const scrape = async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    const good = await scrape()
    expect(figure(good, 'leasehold_database_up{role="leasehold_relay"}')).toBe(1)
    expect(figure(good, 'leasehold_duties_undelivered{kind="rotation"}')).toBe(0)
    expect(figure(good, 'leasehold_relay_heartbeat_age_seconds')).toBeGreaterThan(0)
    expect(figure(good, 'leasehold_pool_connections{pool="leasehold_relay"}')).toBeGreaterThan(0)
    await proxy.set(mode)
    const down = async () => {
      const began = performance.now()
      const text = await scrape()
      expect(performance.now() - began).toBeLessThan(5_000)
      return figure(text, 'leasehold_database_up{role="leasehold_relay"}') === 0 ? text : undefined
    }
    const text = await expect.poll(down, { timeout: 15_000, interval: 200 }).toBeDefined().then(scrape)
    expect(figure(text, 'leasehold_duties_undelivered{kind="rotation"}')).toBeUndefined()
    expect(figure(text, 'leasehold_relay_heartbeat_age_seconds')).toBeUndefined()
    await proxy.set('closed')
    await proxy.set('pass')
    await expect.poll(async () => figure(await scrape(), 'leasehold_database_up{role="leasehold_relay"}'), { timeout: 15_000, interval: 200 }).toBe(1)
    server.close()
    await db.destroy()
    await proxy.end()
  },
  60_000,
)

test('nothing but its three paths is answered on the port for operators', async () => {
  const port = await freePort()
  const server = listenForHealth(port, [], createMetrics())
  const ask = async (path: string, method = 'GET') => (await fetch(`http://127.0.0.1:${port}${path}`, { method })).status
  expect([await ask('/metrics'), await ask('/healthz'), await ask(`/${randomUUID()}`), await ask('/constructor'), await ask('/metrics', 'POST')]).toEqual([
    200, 200, 404, 404, 404,
  ])
  server.close()
})

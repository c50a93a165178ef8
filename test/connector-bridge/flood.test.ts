import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { JobResult, subjects } from '#schemas/connector-message.ts'
import { openRogue } from './rogue.ts'
import { createBridgeWorld, type BridgeWorld } from './world.ts'

let world: BridgeWorld
beforeAll(async () => {
  world = await createBridgeWorld()
}, 60_000)
afterAll(() => world?.end())

/** A result of a job that nobody gave. */
const foreignResult = (instance: string): JobResult =>
  JobResult.parse({
    v: 1,
    jobId: randomUUID(),
    epoch: 1,
    instance,
    outcome: 'confirmed',
    reasonClass: null,
    stagedLogsIn: true,
    knownLogsIn: null,
    macKeyId: 'o1',
    mac: 'A'.repeat(43),
  })

test('a connector that floods the bridge with results is turned away, and another one is answered as always', async () => {
  const [bad, good] = [await world.joinConnector(), await world.joinConnector()]
  const [rogue, honest] = [await openRogue(world.nats.url, bad.home), await openRogue(world.nats.url, good.home)]
  const flood = 8_000
  const count = { answered: 0, unavailable: 0 }
  rogue.connection.subscribe(`${subjects.inboxPrefix(bad.id)}.flood.*`, {
    callback: (_, message) => {
      count.answered++
      if (message.string().includes('unavailable')) count.unavailable++
    },
  })
  for (let sent = 0; sent < flood; sent++)
    rogue.connection.publish(subjects.result(bad.id), JSON.stringify(foreignResult(rogue.instance)), { reply: `${subjects.inboxPrefix(bad.id)}.flood.${sent}` })
  await rogue.connection.flush()
  const hello = JSON.stringify({ v: 1, instance: honest.instance, build: 'x', adapters: [], open: [] })
  // As long as a connector waits for an answer.
  const answer = await honest.connection.request(subjects.hello(good.id), hello, { timeout: 5_000 })
  expect(answer.json()).toMatchObject({ v: 1, now: expect.any(Number) })
  await expect.poll(() => count.answered, { timeout: 20_000 }).toBe(flood)
  expect(count.unavailable).toBeGreaterThan(flood / 2)
  const { rows } = await world.database.superuser(`select count(*)::int as written from audit_event where action = 'job.reported' and connector_id = $1`, [
    bad.id,
  ])
  expect(rows[0].written).toBe(flood - count.unavailable)
  await Promise.all([rogue.connection.close(), honest.connection.close()])
}, 60_000)

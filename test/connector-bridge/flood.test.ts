import { randomUUID } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { openJournal } from '#connector/journal.ts'
import { JobResult, subjects } from '#schemas/connector-message.ts'
import { openRogue } from './rogue.ts'
import { runConnector } from './support.ts'
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

test('a connector whose old results get no answer is there all the same, and sends them until they do', async () => {
  const connector = await world.joinConnector()
  const file = path.join(connector.home, 'journal.jsonl')
  for (let left = 0; left < 3; left++) {
    const result = foreignResult(randomUUID())
    const { jobId, epoch, instance } = result
    appendFileSync(file, `${JSON.stringify({ jobId, epoch, instance, state: 'verified', result })}\n`)
  }
  await world.database.superuser(`create function refuse() returns trigger language plpgsql as $$ begin raise exception 'injected'; end $$`)
  await world.database.superuser(
    `create trigger refusing before insert on audit_event for each row when (new.action = 'job.reported') execute function refuse()`,
  )
  const running = runConnector(connector.home)
  try {
    const isOnline = async (): Promise<unknown> => (await world.call('GET', `/v1/connectors/${connector.id}`)).body.online
    await vi.waitFor(async () => expect(await isOnline()).toBe(true), { timeout: 15_000, interval: 200 })
    await sleep(500)
    await world.database.superuser('drop trigger refusing on audit_event')
    const reported = `select count(*)::int as written from audit_event where action = 'job.reported' and connector_id = $1`
    await expect.poll(async () => (await world.database.superuser(reported, [connector.id])).rows[0].written, { timeout: 20_000 }).toBe(3)
  } finally {
    await running.stop()
  }
  const journal = openJournal(file)
  expect(journal.open()).toEqual([])
  journal.close()
}, 60_000)

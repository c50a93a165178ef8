import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Identity } from '#schemas/identity.ts'
import { startExpirer } from '#server/expirer.ts'
import type { Loop } from '#server/loop.ts'
import type { Db } from '#store/connection.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { checkOut } from '../support/leases.ts'
import { copyHeldIdentity, copyHolder } from '../support/overdue.ts'
import { createVaultWorld, type VaultWorld } from '../support/vault-world.ts'

/** How many leases end in the same minute; LEASEHOLD_TEST_LEASES=10000 is the figure of docs/performance.md. */
const many = Number(process.env['LEASEHOLD_TEST_LEASES'] ?? 1_000)

let database: TestDatabase
let world: VaultWorld
let pools: { readonly expirer: Db; readonly worker: Db }
const running: Loop[] = []
beforeAll(async () => {
  database = await createTestDatabase()
  pools = { expirer: database.as('leasehold_expirer', 2), worker: database.as('leasehold_worker', 12) }
})
afterAll(() => database?.end())
beforeEach(async () => {
  world = await createVaultWorld(database, database.as('leasehold_api', 2))
  return async () => void (await Promise.all(running.splice(0).map((loop) => loop.stop())))
})

const start = () => running.push(startExpirer({ ...pools, log: pino({ level: process.env['LEASEHOLD_TEST_LOG'] ?? 'silent' }), onEnded: () => {} }))
const rows = async (text: string, ...values: unknown[]) => (await database.superuser(text, [world.account.id, ...values])).rows
const count = async (table: string, where = 'true') => Number((await rows(`select count(*) from ${table} where account_id = $1 and ${where}`))[0].count)
const active = () => count('lease', `state = 'active'`)

async function hold({ id }: Identity) {
  const mia = await world.account.principal('mia')
  const { leaseId } = await world.account.run((trx) => checkOut(trx, mia, id))
  return { identityId: id, leaseId }
}

/** @returns when they are due, ms since 1970 */
async function makeDue(inMs: number, where = 'true'): Promise<number> {
  const [{ at }] = await rows(
    `update lease set started_at = started_at - interval '1 hour', expires_at = now() + make_interval(secs => $2::float8 / 1000)
    where account_id = $1 and ${where} returning expires_at as at`,
    inMs,
  )
  return Number(at)
}

const endedOnce = () =>
  rows(`select l.id from lease l where l.account_id = $1 and 1 <> (select count(*) from audit_event e
    where e.account_id = l.account_id and e.lease_id = l.id and e.action = 'lease.ended' and e.outcome = 'expired')`)

test(`${many} leases that are due in the same moment end within 10 s, each once, with the rotations that they owe`, async () => {
  const [plain, rotating, shared] = [
    await world.addIdentity(),
    await world.addIdentity({ rotateAfterUse: true, hostIds: [world.hostId] }),
    await world.addIdentity({ allowConcurrentCheckout: true, maxConcurrentSessions: many }),
  ]
  await copyHeldIdentity(database, await hold(plain), many * 0.7 - 1)
  await copyHeldIdentity(database, await hold(rotating), many * 0.2 - 1)
  await copyHolder(database, (await hold(shared)).leaseId, many * 0.1 - 1)
  await database.superuser('analyze')
  expect(await active()).toBe(many)

  start()
  start()
  const due = await makeDue(1_000)
  await sleep(due - Date.now())
  await expect.poll(active, { timeout: 120_000, interval: 25 }).toBe(0)
  const tookMs = Date.now() - due
  console.log(`${many} leases ended ${tookMs} ms after they were due`)

  expect(await endedOnce()).toEqual([])
  expect(await count('lease', `ended_at < expires_at`)).toBe(0)
  expect([await count('rotation', `state = 'pending' and trigger = 'after_use'`), await count('audit_event', `action = 'rotation.requested'`)]).toEqual([
    many * 0.2,
    many * 0.2,
  ])
  expect(await count('lease', 'rotation_id is not null')).toBe(many * 0.2)
  expect(await count('exposure', 'must_die_at is not null')).toBe(many * 0.2)
  expect(await count('obligation', `kind = 'lease' and not closed and version = 2`)).toBe(many * 0.2)
  expect(await count('obligation', `kind = 'lease' and closed and version = 2`)).toBe(many * 0.8)
  expect(await count('obligation', `kind = 'rotation'`)).toBe(many * 0.2)
  expect(tookMs).toBeLessThan(10_000)
}, 180_000)

test('an identity that somebody holds the lock of delays nobody else, and ends when it is free', async () => {
  const [busy, other] = [await world.addIdentity(), await world.addIdentity()]
  const held = await hold(busy)
  await copyHeldIdentity(database, await hold(other), 199)
  const client = new pg.Client({ connectionString: process.env['LEASEHOLD_TEST_POSTGRES_URL']?.replace(/[^/]*$/, database.name) })
  await client.connect()
  await client.query('begin')
  await client.query('select from identity where id = $1 for no key update', [busy.id])
  const due = await makeDue(0)
  start()
  await expect.poll(active, { timeout: 10_000, interval: 20 }).toBe(1)
  expect(Date.now() - due).toBeLessThan(1_500)
  expect(await rows(`select id from lease where account_id = $1 and state = 'active'`)).toEqual([{ id: held.leaseId }])
  await client.query('commit')
  await client.end()
  await expect.poll(active, { timeout: 5_000, interval: 20 }).toBe(0)
  expect(await endedOnce()).toEqual([])
})

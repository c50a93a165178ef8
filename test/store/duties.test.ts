import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { inAccount, type Db } from '#store/connection.ts'
import { claimDuties, owe, recordDelivered, recordFailure, reopenDuties, returnDuty, type Duty, type OweOptions } from '#store/duties.ts'
import { recordTemporalCall, temporalSilence } from '#store/relay-state.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createTestAccount, type TestAccount } from '../support/account.ts'

let database: TestDatabase
let account: TestAccount<'mia'>
let relay: Db
beforeAll(async () => {
  database = await createTestDatabase()
  relay = database.as('leasehold_relay')
})
afterAll(() => database?.end())
beforeEach(async () => {
  await database.superuser('delete from obligation')
  account = await createTestAccount(database, database.as('leasehold_api', 1), { mia: 'owner' })
})

const oweLease = (subjectId: string, options?: OweOptions) => account.run((trx) => owe(trx, 'lease', subjectId, options))
const claim = (holdMs = 60_000) => claimDuties(relay, ['lease', 'rotation'], { limit: 10, holdMs })
async function claimOne(): Promise<Duty> {
  const [duty] = await claim()
  if (duty === undefined) throw new Error('nothing is owed')
  return duty
}

test('a duty is claimed once, and again when its holder died', async () => {
  const subjectId = randomUUID()
  await oweLease(subjectId)
  expect(await claim(1_000)).toMatchObject([{ accountId: account.id, kind: 'lease', subjectId, version: 1, attempts: 0 }])
  expect(await claim()).toEqual([])
  await new Promise((resolve) => setTimeout(resolve, 1_050))
  expect(await claim()).toHaveLength(1)
})

test('what a subject became while it was being told stays owed', async () => {
  const subjectId = randomUUID()
  await oweLease(subjectId)
  const duty = await claimOne()
  await oweLease(subjectId)
  await recordDelivered(relay, duty)
  expect(await claimOne()).toMatchObject({ version: 2 })
})

test('twenty failures quarantine a duty, and a new fact brings it back', async () => {
  const subjectId = randomUUID()
  await oweLease(subjectId)
  const duty = await claimOne()
  const quarantined = []
  for (let attempt = 0; attempt < 20; attempt += 1) quarantined.push(await recordFailure(relay, duty, 'TestError'))
  expect(quarantined.lastIndexOf(false)).toBe(18)
  await database.superuser('update obligation set next_at = clock_timestamp()')
  expect(await claim()).toEqual([])
  await oweLease(subjectId)
  expect(await claim()).toHaveLength(1)
})

test('a server that is down costs the duty nothing', async () => {
  await oweLease(randomUUID())
  await returnDuty(relay, await claimOne(), 0)
  expect(await claimOne()).toMatchObject({ attempts: 0 })
})

test('a delayed duty waits', async () => {
  await oweLease(randomUUID(), { delayMs: 60_000 })
  expect(await claim()).toEqual([])
})

test('reconciliation tells every subject that is not final, and no other', async () => {
  const [open, closed] = [randomUUID(), randomUUID()]
  await oweLease(open)
  await oweLease(closed, { closed: true })
  for (const duty of await claim()) await recordDelivered(relay, duty)
  expect(await reopenDuties(['lease'], (reopen) => reopen(relay))).toBe(1)
  expect(await claim()).toMatchObject([{ subjectId: open }])
})

test('reconciliation opens at most 2,000 in one transaction, and each once although a relay delivers them at once', async () => {
  await database.superuser(
    `insert into obligation (account_id, kind, subject_id, delivered) select $1, case when n % 2 = 0 then 'lease' else 'rotation' end, gen_random_uuid(), 1
      from generate_series(1, 5000) n`,
    [account.id],
  )
  await database.superuser(`create function deliver() returns trigger language plpgsql as 'begin new.delivered := new.version; return new; end'`)
  await database.superuser('create trigger relay before update on obligation for each row execute function deliver()')
  const reopened = await reopenDuties(['lease', 'rotation'], (reopen) => reopen(relay)).finally(() => database.superuser('drop trigger relay on obligation'))
  expect(reopened).toBe(5_000)
  const { rows } = await database.superuser('select version, count(*)::int as opened from obligation group by version, xmin::text order by opened desc')
  expect(rows).toEqual([2_000, 2_000, 1_000].map((opened) => ({ version: 2, opened })))
})

test('each loop sees its own kinds only, and no other table of any tenant', async () => {
  await oweLease(randomUUID())
  await account.run((trx) => owe(trx, 'connector', randomUUID()))
  expect(
    (await claimDuties(database.as('leasehold_bridge', 1), ['lease', 'rotation', 'offer', 'connector'], { limit: 10, holdMs: 0 })).map((duty) => duty.kind),
  ).toEqual(['connector'])
  expect((await claimDuties(relay, ['lease', 'rotation', 'offer', 'connector'], { limit: 10, holdMs: 0 })).map((duty) => duty.kind)).toEqual(['lease'])
  await expect(inAccount(relay, account.id, (trx) => trx.selectFrom('lease').selectAll().execute())).rejects.toThrow(/permission denied/)
})

test('the heartbeat tells how long Temporal has been silent, and notices a namespace that was made anew', async () => {
  expect(await recordTemporalCall(relay, 'one')).toEqual({ namespaceChanged: true })
  expect(await recordTemporalCall(relay, 'one')).toEqual({ namespaceChanged: false })
  expect(await recordTemporalCall(relay, 'two')).toEqual({ namespaceChanged: true })
  expect(await temporalSilence(relay)).toBeLessThan(5_000)
  await database.superuser(`update relay_state set last_temporal_call_at = clock_timestamp() - interval '16 minutes'`)
  expect(await temporalSilence(relay)).toBeGreaterThan(900_000)
})

import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startSupportExpirer } from '#server/support-expirer.ts'
import { enableSupportAccess, readSupportFacts } from '#store/support-access.ts'
import { createTestAccount } from '../support/account.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database?.end())

/** A window of an account of its own. */
async function opened(expiresInDays: number | null) {
  const account = await createTestAccount(database, database.as('leasehold_api', 1), { mia: 'owner' })
  const { userId, actor } = account.people.mia
  const sealed = { encryptionVersion: 2, keyId: 'a1', ciphertext: Buffer.alloc(40) } as const
  const windowId = randomUUID()
  await account.run((trx) =>
    enableSupportAccess(trx, { userId, actor, newId: windowId, sealReason: () => sealed, expiresInDays, permissions: ['pam_vaults.view'] }),
  )
  return { account, windowId }
}

/** The same, past its end for so long. */
async function overdue(seconds: number) {
  const { account, windowId } = await opened(1)
  await database.superuser('update support_access set expires_at = now() - make_interval(secs => $2) where id = $1', [windowId, seconds])
  return { accountId: account.id, windowId }
}

const stateOf = async (windowId: string) => (await database.superuser('select state from support_access where id = $1', [windowId])).rows[0]?.state

/** Somebody holds the row of a window. @returns lets go */
async function lock({ accountId, windowId }: { readonly accountId: string; readonly windowId: string }): Promise<() => Promise<void>> {
  const owner = new pg.Client({ connectionString: database.ownerUrl })
  await owner.connect()
  await owner.query('begin')
  await owner.query(`select set_config('app.account', $1, true)`, [accountId])
  const { rowCount } = await owner.query('select from support_access where id = $1 for update', [windowId])
  expect(rowCount).toBe(1)
  return () => owner.end()
}

test('a window that cannot be ended right now is logged and keeps no other account open, and is ended when it can be', async () => {
  const [first, second] = [await overdue(20), await overdue(10)]
  const letGo = await lock(first)
  const logged: { readonly windowId?: string }[] = []
  const log = pino({ level: 'warn' }, { write: (line: string) => void logged.push(JSON.parse(line)) })
  let news = 0
  const onEnded = () => void (news += 1)
  const loop = startSupportExpirer({ expirer: database.as('leasehold_expirer'), worker: database.as('leasehold_worker'), log, onEnded })
  try {
    await expect.poll(() => stateOf(second.windowId), { timeout: 10_000 }).toBe('ended')
    expect(await stateOf(first.windowId)).toBe('open')
    expect(logged.map(({ windowId }) => windowId)).toContain(first.windowId)
    await letGo()
    await expect.poll(() => stateOf(first.windowId), { timeout: 10_000 }).toBe('ended')
  } finally {
    await letGo()
    await loop.stop()
  }
  expect(news).toBe(2)
}, 30_000)

test.each([
  ['without an end has no time left that could be over', null, { remainingMs: null, reminderInMs: expect.any(Number) }],
  ['of a day is reminded of no more', 1, { remainingMs: expect.any(Number), reminderInMs: null }],
])('a window %s: its workflow waits', async (_, days, times) => {
  const { account, windowId } = await opened(days)
  expect(await account.run((trx) => readSupportFacts(trx, windowId))).toMatchObject(times)
})

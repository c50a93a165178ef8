import { randomUUID } from 'node:crypto'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Send } from '#activities/channels/send.ts'
import { startUrgentNotices } from '#server/urgent-notices.ts'
import type { Loop } from '#server/loop.ts'
import type { Outcome } from '#store/notice-delivery.ts'
import { raiseNotice } from '#store/notice.ts'
import { createTestAccount, type TestAccount } from '../support/account.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

/** No API that would try first, no relay, no Temporal: only PostgreSQL and this loop. */

let database: TestDatabase
let account: TestAccount<'mia' | 'ola'>
let loop: Loop
const sent: string[] = []
let answer: (noticeId: string) => Promise<Outcome> | Outcome = () => ({ state: 'delivered', receipt: 'smtp 250' })
const send: Send = async (_account, { id }) => {
  sent.push(id)
  return answer(id)
}
beforeAll(async () => {
  database = await createTestDatabase()
  account = await createTestAccount(database, database.as('leasehold_bridge'), { mia: 'owner', ola: ['pam_vaults.manage'] })
  loop = startUrgentNotices({ expirer: database.as('leasehold_expirer'), worker: database.as('leasehold_worker'), send, log: pino({ level: 'silent' }) })
})
afterAll(async () => {
  await loop?.stop()
  await database?.end()
})

/** As the bridge does. */
const raise = (severity: 'critical' | 'warning') =>
  account.run((trx) => raiseNotice(trx, { kind: 'host.drifted', severity, subject: { type: 'identity', id: randomUUID() }, to: 'admins' }))
const statesOf = async (id: string) => (await database.superuser('select state from notice_delivery where notice_id = $1', [id])).rows.map(({ state }) => state)

test('what a bridge raises goes out while Temporal is away, and what is not critical waits', async () => {
  const [urgent, other] = [await raise('critical'), await raise('warning')]
  await expect.poll(() => statesOf(urgent), { timeout: 20_000 }).toEqual(['delivered', 'delivered'])
  expect(await statesOf(other)).toEqual(['pending', 'pending'])
  expect(sent.filter((id) => id === urgent)).toHaveLength(2)
}, 30_000)

test('one that hangs keeps the others from nothing, and one that is refused is tried again', async () => {
  let letGo = () => {}
  const hanging = new Promise<void>((resolve) => {
    letGo = resolve
  })
  const [slow, refused] = [await raise('critical'), await raise('critical')]
  let refusals = 0
  answer = async (id) => {
    if (id === slow) await hanging
    return id === refused && (refusals += 1) <= 2 ? { state: 'refused', receipt: 'http 503' } : { state: 'delivered', receipt: 'http 200' }
  }
  await expect.poll(() => statesOf(refused), { timeout: 30_000 }).toEqual(['delivered', 'delivered'])
  expect(sent.filter((id) => id === refused)).toHaveLength(4)
  expect(await statesOf(slow)).toEqual(['pending', 'pending'])
  letGo()
  await expect.poll(() => statesOf(slow), { timeout: 10_000 }).toEqual(['delivered', 'delivered'])
}, 60_000)

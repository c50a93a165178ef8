import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { appendAudit } from '#store/audit.ts'
import { lockIdentity } from '#store/checkout-facts.ts'
import { sendWithCommit, type Transaction } from '#store/connection.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createVaultWorld, type VaultWorld } from '../support/vault-world.ts'

let database: TestDatabase
let world: VaultWorld
beforeAll(async () => {
  database = await createTestDatabase()
  world = await createVaultWorld(database, database.as('leasehold_api', 8))
})
afterAll(() => database?.end())

const prove = (trx: Transaction, outcome: string) => appendAudit(trx, { actor: { kind: 'system', id: 'test' }, action: 'test', effect: 'permit', outcome })
const proofs = async (outcome: string) => (await database.superuser(`select count(*)::int as n from audit_event where outcome = $1`, [outcome])).rows[0].n

describe('statements that are started together', () => {
  test('run in the order of their calls: behind a lock the next one sees what its holder committed', async () => {
    const { id } = await world.addIdentity()
    const read = (trx: Transaction) => sql<{ username: string }>`select username from identity where id = ${id}::uuid`.execute(trx)
    let waiting: Promise<string | undefined> | undefined
    await world.account.run(async (trx) => {
      await lockIdentity(trx, id)
      waiting = world.account.run(async (other) => (await Promise.all([lockIdentity(other, id), read(other)]))[1].rows[0]?.username)
      await expect
        .poll(async () => (await database.superuser(`select count(*)::int as n from pg_stat_activity where wait_event_type = 'Lock'`)).rows[0].n, {
          interval: 5,
        })
        .toBeGreaterThan(0)
      await sql`update identity set username = 'changed' where id = ${id}::uuid`.execute(trx)
    })
    expect(await waiting).toBe('changed')
  })

  test('are undone together when one of them fails', async () => {
    await expect(world.account.run((trx) => Promise.all([prove(trx, 'first'), sql`select 1 / 0`.execute(trx), prove(trx, 'third')]))).rejects.toThrow(
      'division',
    )
    expect([await proofs('first'), await proofs('third')]).toEqual([0, 0])
  })
})

describe('a write that travels with the commit', () => {
  test('is there when the transaction is answered', async () => {
    await world.account.run(async (trx) => sendWithCommit(trx, prove(trx, 'last')))
    expect(await proofs('last')).toBe(1)
  })

  test('undoes everything when it fails, and the caller learns why', async () => {
    const failing = world.account.run(async (trx) => {
      await prove(trx, 'before')
      sendWithCommit(trx, sql`select 1 / 0`.execute(trx))
    })
    await expect(failing).rejects.toThrow('division')
    expect(await proofs('before')).toBe(0)
  })
})

test('a failure that was swallowed inside a transaction is no success', async () => {
  const swallowing = world.account.run(async (trx) => {
    await prove(trx, 'swallowed')
    await sql`select 1 / 0`.execute(trx).catch(() => {})
  })
  await expect(swallowing).rejects.toThrow('rolled back')
  expect(await proofs('swallowed')).toBe(0)
})

test('a statement that comes after the end of its transaction is refused', async () => {
  let late: Transaction | undefined
  await world.account.run(async (trx) => {
    late = trx
  })
  await expect(prove(late as Transaction, 'late')).rejects.toThrow('the transaction is over')
  expect(await proofs('late')).toBe(0)
})

import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { forgetProofs, rememberProof } from '#store/dpop-proof.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database?.end())

test('a proof is remembered for ten minutes, and no longer', async () => {
  const [api, expirer] = [database.as('leasehold_api'), database.as('leasehold_expirer')]
  const [old, young] = [randomBytes(32), randomBytes(32)]
  expect([await rememberProof(api, old), await rememberProof(api, young)]).toEqual([true, true])
  expect(await forgetProofs(expirer, 100)).toBe(0)
  await database.superuser(`update dpop_proof set forget_at = forget_at - interval '10 minutes' where digest = $1`, [old])
  expect(await forgetProofs(expirer, 100)).toBe(1)
  expect([await rememberProof(api, young), await rememberProof(api, old)]).toEqual([false, true])
})

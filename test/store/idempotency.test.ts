import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findReplay, rememberReplay } from '#store/idempotency.ts'
import { createTestAccount, type TestAccount } from '../support/account.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
let account: TestAccount<'mia' | 'ola'>
beforeAll(async () => {
  database = await createTestDatabase()
  account = await createTestAccount(database, database.as('leasehold_api'), { mia: 'owner', ola: 'owner' })
})
afterAll(() => database?.end())

const attempt = (userId = account.people.mia.userId) => ({ userId, key: randomUUID(), route: 'post /v1/hosts', requestHash: Buffer.alloc(32, 1) })

describe('an Idempotency-Key', () => {
  test('answers the same request with what it made', async () => {
    const request = attempt()
    const resourceId = randomUUID()
    expect(await account.run((trx) => findReplay(trx, request))).toBeUndefined()
    expect(await account.run((trx) => rememberReplay(trx, { ...request, resourceId }))).toEqual({ resourceId, replayed: false })
    expect(await account.run((trx) => findReplay(trx, request))).toBe(resourceId)
    expect(await account.run((trx) => rememberReplay(trx, { ...request, resourceId: randomUUID() }))).toEqual({ resourceId, replayed: true })
  })

  test('is refused for another body or route, and is another key for another user', async () => {
    const request = attempt()
    await account.run((trx) => rememberReplay(trx, { ...request, resourceId: randomUUID() }))
    const reused = expect.objectContaining({ code: 'idempotency-key-reused' })
    await expect(account.run((trx) => findReplay(trx, { ...request, requestHash: Buffer.alloc(32, 2) }))).rejects.toEqual(reused)
    await expect(account.run((trx) => rememberReplay(trx, { ...request, route: 'post /v1/connectors', resourceId: randomUUID() }))).rejects.toEqual(reused)
    expect(await account.run((trx) => findReplay(trx, { ...request, userId: account.people.ola.userId }))).toBeUndefined()
  })

  test('makes one thing when the same request comes twice at once', async () => {
    const request = attempt()
    const answers = await Promise.all([1, 2, 3].map(() => account.run((trx) => rememberReplay(trx, { ...request, resourceId: randomUUID() }))))
    expect(new Set(answers.map((answer) => answer.resourceId)).size).toBe(1)
    expect(answers.filter((answer) => !answer.replayed)).toHaveLength(1)
  })

  test('is free again when what it made was rolled back', async () => {
    const request = attempt()
    await expect(
      account.run(async (trx) => {
        await rememberReplay(trx, { ...request, resourceId: randomUUID() })
        throw new Error('nothing is made')
      }),
    ).rejects.toThrow('nothing is made')
    expect(await account.run((trx) => findReplay(trx, request))).toBeUndefined()
  })
})

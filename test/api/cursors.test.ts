import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startApi, type Answer, type TestApi } from './support.ts'

let database: TestDatabase
let api: TestApi
let organizationId: string
let cursor: string
const get = (path: string, sub = 'ola'): Promise<Answer> => api.call(sub, 'GET', path)
const first = () => `/v1/identity-groups?organizationId=${organizationId}&limit=1`

beforeAll(async () => {
  database = await createTestDatabase()
  api = await startApi(database)
  organizationId = (await api.call('ola', 'POST', '/v1/organizations', { body: { name: 'main' } })).body.id
  for (let count = 0; count < 3; count += 1) await api.call('ola', 'POST', '/v1/identity-groups', { body: { organizationId, name: randomUUID() } })
  await api.call('gus', 'POST', '/v1/organizations', { body: { name: 'theirs' } })
  cursor = (await get(first())).body.nextCursor
})
afterAll(async () => {
  await api?.stop()
  await database?.end()
})

describe('a cursor', () => {
  test('goes on where its page ended, also with pages of another size and for a colleague', async () => {
    const [whole, rest, colleague] = [
      (await get(`/v1/identity-groups?organizationId=${organizationId}`)).body.items,
      (await get(`/v1/identity-groups?organizationId=${organizationId}&limit=2&cursor=${cursor}`)).body.items,
      (await get(`${first()}&cursor=${cursor}`, 'mia')).body.items,
    ]
    expect(whole).toHaveLength(3)
    expect(rest).toEqual(whole.slice(1))
    expect(colleague).toEqual([whole[1]])
  })

  test('says nothing: no id can be read from it, and none can be put into it', async () => {
    const { items } = (await get(first())).body
    const bytes = Buffer.from(items[0].id.replaceAll('-', ''), 'hex')
    const forged = [
      bytes.toString('base64url'),
      btoa(items[0].id),
      Buffer.concat([bytes, Buffer.alloc(16)]).toString('base64url'),
      Buffer.from(cursor, 'base64url').fill(0, 0, 1).toString('base64url'),
      `${cursor}=`,
      `${cursor}A`,
      cursor.slice(0, -1),
      `${cursor.slice(0, -1)}${cursor.endsWith('A') ? 'B' : 'A'}`,
      '',
    ]
    for (const guess of forged) {
      const { status, body } = await get(`${first()}&cursor=${encodeURIComponent(guess)}`)
      expect([guess, status, body.errors]).toEqual([guess, 422, [{ path: 'cursor', message: 'must be the nextCursor of the page before' }]])
    }
  })

  test.each([
    ['another account', () => [`/v1/identity-groups?organizationId=${organizationId}&cursor=${cursor}`, 'gus']],
    ['another filter', () => [`/v1/identity-groups?organizationId=${randomUUID()}&cursor=${cursor}`]],
    ['no filter', () => [`/v1/identity-groups?cursor=${cursor}`]],
    ['another route', () => [`/v1/hosts?organizationId=${organizationId}&cursor=${cursor}`]],
  ])('is refused with %s', async (_what, call) => {
    const [path = '', sub] = call()
    const { status, body } = await get(path, sub)
    expect([status, body.errors?.[0]?.path]).toEqual([422, 'cursor'])
  })

  test('of one vault is refused at another', async () => {
    const [one, other] = (await get('/v1/identity-groups')).body.items as { id: string }[]
    const [sam, vic] = (await get('/v1/principals')).body.items as { id: string; type: string }[]
    for (const principal of [sam, vic])
      await api.call('mia', 'POST', `/v1/identity-groups/${one?.id}/grants`, {
        body: { principal: { type: principal?.type, id: principal?.id }, level: 'checkout' },
      })
    const { nextCursor } = (await get(`/v1/identity-groups/${one?.id}/grants?limit=1`)).body
    expect((await get(`/v1/identity-groups/${one?.id}/grants?limit=1&cursor=${nextCursor}`)).status).toBe(200)
    expect((await get(`/v1/identity-groups/${other?.id}/grants?limit=1&cursor=${nextCursor}`)).status).toBe(422)
  })
})

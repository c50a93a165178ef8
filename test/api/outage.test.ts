import { afterAll, beforeAll, expect, test } from 'vitest'
import { connect, type Db } from '#store/connection.ts'
import { startCutProxy, type CutProxy } from '../support/cut-proxy.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startApi, type TestApi } from './support.ts'

let database: TestDatabase
let proxy: CutProxy
let db: Db
let api: TestApi
beforeAll(async () => {
  database = await createTestDatabase()
  const { hostname, port } = new URL(database.url)
  proxy = await startCutProxy({ host: hostname, port: Number(port) })
  const url = new URL(database.url)
  url.port = String(proxy.port)
  db = connect({ url: url.href, user: 'leasehold_api', password: database.password, max: 4 })
  api = await startApi(database, { db })
})
afterAll(async () => {
  await api?.stop()
  await db?.destroy()
  await proxy?.end()
  await database?.end()
})

async function timed(): Promise<{ status: number; role: unknown; ms: number }> {
  const started = performance.now()
  const { status, body } = await api.call('sam', 'GET', '/v1/me')
  return { status, role: body?.role, ms: performance.now() - started }
}

test.each(['freeze', 'closed'] as const)(
  'PostgreSQL behind a connection that is %s: 503 names it within 2 s, and calls go on when it is back',
  async (mode) => {
    expect((await timed()).status).toBe(200)
    const running = Array.from({ length: 6 }, () => timed())
    await proxy.set(mode)
    const answers = [...(await Promise.all(running)), await timed()]
    for (const { status, role, ms } of answers) {
      expect([200, 503]).toContain(status)
      if (status === 503) expect(role).toBe('postgres')
      expect(ms).toBeLessThan(2_000)
    }
    expect(answers.at(-1)?.status).toBe(503)
    await proxy.set('pass')
    await expect.poll(async () => (await timed()).status, { timeout: 5_000 }).toBe(200)
  },
)

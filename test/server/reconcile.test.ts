import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Config } from '#server/config.ts'
import { reconcile } from '#server/reconcile.ts'
import { connectTemporal, type Temporal } from '#server/temporal.ts'
import * as workflows from '#workflows/index.ts'
import { sweeps } from '#workflows/messages.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startTemporal, type TestTemporal } from '../support/temporal.ts'

let server: TestTemporal
let database: TestDatabase
let temporal: Temporal
beforeAll(async () => {
  ;[server, database] = await Promise.all([startTemporal(), createTestDatabase()])
  temporal = await connectTemporal({ address: server.address, tls: undefined }, server.namespace, {})
}, 60_000)
afterAll(async () => {
  await temporal?.close()
  await database?.end()
  await server?.stop()
})

test.each(['a Temporal that is new', 'one that has them already'])('reconciling gives %s a schedule for each sweep, of a workflow that there is', async () => {
  const config = { temporalNamespace: server.namespace, taskQueueSuffix: '-x' } as Config
  await reconcile({ config, db: database.as('leasehold_relay', 1), temporal, log: pino({ level: 'silent' }) })
  for (const [id, { workflowType }] of Object.entries(sweeps)) {
    const { action, spec } = await server.client.schedule.getHandle(id).describe()
    expect(action).toMatchObject({ workflowType, taskQueue: 'leasehold-x' })
    expect(Object.keys(workflows)).toContain(workflowType)
    expect(spec.intervals).toMatchObject([{ every: (id === 'rotation-sweep' ? 30 : 5) * 60_000 }])
  }
})

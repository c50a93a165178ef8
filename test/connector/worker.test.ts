import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { NatsConnection } from 'nats'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createControlPlane } from '#connector/control-plane.ts'
import { openJournal, type Journal } from '#connector/journal.ts'
import { createWorker, type ControlPlane } from '#connector/worker.ts'
import { JobResult } from '#schemas/connector-message.ts'

let folder: string
let journal: Journal
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'worker-'))
  journal = openJournal(path.join(folder, 'journal'))
})
afterEach(() => {
  journal.close()
  rmSync(folder, { recursive: true })
})

const newResult = (): JobResult =>
  JobResult.parse({
    v: 1,
    jobId: randomUUID(),
    epoch: 1,
    instance: randomUUID(),
    outcome: 'confirmed',
    reasonClass: null,
    stagedLogsIn: true,
    knownLogsIn: null,
    macKeyId: 'o1',
    mac: 'A'.repeat(43),
  })

const workerWith = (report: ControlPlane['report']) =>
  createWorker({
    connectorId: randomUUID(),
    instance: randomUUID(),
    encryptionKey: {} as never,
    signingKeys: { keys: [] },
    adapters: {},
    allowList: { allows: () => true },
    journal,
    controlPlane: { claim: async () => ({ v: 1, refused: 'later' }), report },
    log: pino({ level: 'silent' }),
  })

test('results that are sent again do not wait for each other', async () => {
  const results = [newResult(), newResult(), newResult()]
  for (const result of results) journal.append({ jobId: result.jobId, epoch: 1, instance: result.instance, state: 'verified', result })
  // The first one gets no answer.
  const worker = workerWith(({ jobId }) => (jobId === results[0]?.jobId ? new Promise<never>(() => {}) : Promise.resolve({ v: 1, ack: true, stale: false })))
  void worker.resend()
  await vi.waitFor(() => expect(journal.open().map(({ jobId }) => jobId)).toEqual([results[0]?.jobId]))
})

/** A connection to a control plane that cannot do anything now. */
function deafLine() {
  const asked: number[] = []
  const end = Promise.withResolvers<void>()
  let isClosed = false
  const connection = {
    isClosed: () => isClosed,
    closed: () => end.promise,
    request: async () => {
      asked.push(performance.now())
      return { json: () => ({ v: 1, refused: 'unavailable' }) }
    },
  } as unknown as NatsConnection
  return { asked, connection, close: () => ((isClosed = true), end.resolve()) }
}

test('a result without an answer is sent again after pauses that grow, and soon over a new connection', async () => {
  const [first, second] = [deafLine(), deafLine()]
  let current = first
  const stop = new AbortController()
  const controlPlane = createControlPlane('c', { current: () => current.connection, signal: stop.signal })
  const reporting = controlPlane.report(newResult()).catch(() => 'stopped')
  // At 0, 0.5, 1.5 and 3.5 s; the next one would be at 7.5 s.
  await sleep(4_500)
  expect(first.asked.length).toBe(4)
  current = second
  first.close()
  await vi.waitFor(() => expect(second.asked.length).toBeGreaterThan(0), { timeout: 1_500 })
  stop.abort()
  expect(await reporting).toBe('stopped')
})

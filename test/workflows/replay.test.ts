import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import proto from '@temporalio/proto'
import { Worker } from '@temporalio/worker'
import { pino } from 'pino'
import { beforeAll, describe, expect, test } from 'vitest'
import { installRuntime } from '#server/temporal-worker.ts'
import { keptBundle } from '../support/kept-bundle.ts'
import { historiesFolder } from './lab.ts'

const files = readdirSync(historiesFolder).filter((file) => file.endsWith('.pb'))
let bundle: { code: string }
beforeAll(async () => {
  installRuntime(pino({ level: 'silent' }))
  bundle = await keptBundle()
}, 60_000)

const { History } = proto.temporal.api.history.v1
const read = (file: string) => History.decode(readFileSync(path.join(historiesFolder, file)))
const replay = (history: ReturnType<typeof read>) => Worker.runReplayHistory({ workflowBundle: bundle }, history, 'replayed')

test('there are histories to replay', () => {
  expect(files.length).toBeGreaterThan(4)
})

describe('workflows that are under way survive an upgrade', () => {
  test.each(files)('%s replays', async (file) => {
    await replay(read(file))
  })

  test('a history that the code would not write is found out', async () => {
    const history = read('lease-expired.pb')
    const started = history.events[0]?.workflowExecutionStartedEventAttributes
    if (!started) throw new Error('the history does not begin with a start')
    started.workflowType = { name: 'rotation' }
    await expect(replay(history)).rejects.toThrow(/Replay failed/)
  })
})

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Adapter, Target } from '#connector/adapters/adapter.ts'
import { runTimedJob } from '#connector/timed-job.ts'
import type { SealedJob } from '#schemas/connector-message.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

const target = { address: '127.0.0.1', port: 1, adapter: 'it', parameters: {} }
const job = { kind: 'reset', target, account: { username: 'a' }, staged: 'new', known: 'old', admin: null } as unknown as SealedJob
const never = new Promise<never>(() => {})
const givenUp = { outcome: 'unknown', reasonClass: 'interrupted', stagedLogsIn: null, knownLogsIn: null }

function run(change: Adapter['change'], left = 5_000) {
  const steps: string[] = []
  const adapter: Adapter = { change, logIn: async () => ({ login: 'accepted' }) }
  const tools = { adapters: { it: adapter }, allowList: { allows: () => true }, remaining: () => left, step: (state: string) => void steps.push(state) }
  return { steps, outcome: runTimedJob(job, tools) }
}

test('a job that a target keeps busy past its time is given up, its connections are ended, and its place is free', async () => {
  let seen: Target | undefined
  const { outcome } = run((at) => ((seen = at), never))
  let isOver = false
  void outcome.then(() => (isOver = true))
  await vi.advanceTimersByTimeAsync(34_000)
  expect([isOver, seen?.signal?.aborted]).toEqual([false, false])
  await vi.advanceTimersByTimeAsync(2_000)
  expect(await outcome).toEqual(givenUp)
  expect(seen?.signal?.aborted).toBe(true)
})

test('what a job that was given up does later is neither written down nor sent', async () => {
  let goOn = (): void => {}
  const { outcome, steps } = run(async (_, { beforeSend }) => {
    beforeSend()
    await new Promise<void>((resolve) => (goOn = resolve))
    expect(beforeSend).toThrow()
    return { change: 'applied' }
  })
  await vi.advanceTimersByTimeAsync(36_000)
  expect(await outcome).toEqual(givenUp)
  goOn()
  await vi.advanceTimersByTimeAsync(1_000)
  expect(steps).toEqual(['applying'])
})

test('a job whose time is over has enough left to find out what became of its change, and says it', async () => {
  const { outcome } = run(async () => {
    await new Promise((resolve) => setTimeout(resolve, 29_000))
    return { change: 'applied' }
  }, -60_000)
  await vi.advanceTimersByTimeAsync(29_500)
  expect(await outcome).toMatchObject({ outcome: 'confirmed', stagedLogsIn: true })
  expect(vi.getTimerCount()).toBe(0)
})

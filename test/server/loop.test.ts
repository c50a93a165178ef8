import { pino } from 'pino'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { startLoop } from '#server/loop.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const log = pino({ level: 'silent' })

/** Turns of a loop, counted. */
function count(everyMs: number, turn: (number: number) => boolean | Error = () => false) {
  let turns = 0
  const loop = startLoop({
    name: 'test',
    everyMs,
    log,
    turn: async () => {
      turns += 1
      const answer = turn(turns)
      if (answer instanceof Error) throw answer
      return answer
    },
  })
  return { turns: () => turns, ...loop }
}

test('an hourly loop turns once an hour', async () => {
  const loop = count(3_600_000)
  await vi.advanceTimersByTimeAsync(3_599_000)
  expect(loop.turns()).toBe(1)
  await vi.advanceTimersByTimeAsync(2_000)
  expect(loop.turns()).toBe(2)
  loop.wake()
  await vi.advanceTimersByTimeAsync(0)
  expect(loop.turns()).toBe(3)
  await loop.stop()
})

test('a loop that has more to do goes on at once, and one that fails waits longer each time, 5 s at most', async () => {
  const busy = count(1_000, (number) => number < 5)
  await vi.advanceTimersByTimeAsync(0)
  expect(busy.turns()).toBe(5)
  await busy.stop()

  const failing = count(1_000, () => new Error('down'))
  await vi.advanceTimersByTimeAsync(2_000)
  expect(failing.turns()).toBe(2)
  await vi.advanceTimersByTimeAsync(4_000 + 5_000 + 5_000)
  expect(failing.turns()).toBe(5)
  failing.wake()
  await vi.advanceTimersByTimeAsync(0)
  expect(failing.turns()).toBe(5)
  await failing.stop()
})

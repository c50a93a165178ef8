import { afterAll, beforeAll, expect, test } from 'vitest'
import { rotateMany } from '#bench/many-rotations.ts'
import { startStack, type Stack } from '#stack/test-stack.ts'
import { openTemporal } from './open-temporal.ts'

/** `npm run bench rotations` does it with 1,000. */
const count = 100

let stack: Stack
beforeAll(async () => {
  stack = await startStack()
}, 120_000)
afterAll(() => stack?.stop())

test(`${count} identities that are due at once are each rotated once, at most 16 at a time, and keep their hours`, async () => {
  const { client, close } = await openTemporal(stack)
  const result = await rotateMany(stack, client, count, 200_000).finally(close)
  expect(result).toMatchObject({ notOnce: 0, drifted: 0, refused: 0 })
  expect(new Set(result.states)).toEqual(new Set(['confirmed']))
  expect(result.mostClaimed).toBeLessThanOrEqual(16)
}, 260_000)

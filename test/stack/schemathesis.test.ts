import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startStack, type Stack } from '#stack/test-stack.ts'
import { faultsOf, fuzz, type Phase } from '../fuzz/fuzz.ts'
import { findSchemathesis } from '../fuzz/schemathesis.ts'

/** A small sample with a fixed seed; `npm run fuzz:api` is the long run. */

let stack: Stack
const schemathesis = findSchemathesis()
const missing = typeof schemathesis === 'string' ? schemathesis : undefined
beforeAll(async () => {
  if (missing === undefined) stack = await startStack()
}, 120_000)
afterAll(() => stack?.stop())
beforeEach((context) => context.skip(missing !== undefined, missing))

describe('schemathesis finds no server error, no undocumented answer, no accepted nonsense and no open door', () => {
  test.each<[Phase, number]>([
    ['examples', 1],
    ['coverage', 1],
    ['fuzzing', 2],
    ['stateful', 2],
  ])(
    'in its phase %s',
    async (phase, maxExamples) => {
      if (typeof schemathesis === 'string') return
      const run = await fuzz(stack, schemathesis, { phase, seed: 20_261, maxExamples })
      expect([faultsOf(run, phase), faultsOf(run, phase).length === 0 ? '' : run.output]).toEqual([[], ''])
    },
    120_000,
  )
})

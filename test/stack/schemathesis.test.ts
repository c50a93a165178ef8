import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startStack, type Stack } from '#stack/test-stack.ts'
import { faultsOf, fuzz, phases } from '../fuzz/fuzz.ts'
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

test('schemathesis finds no server error, no undocumented answer, no accepted nonsense and no open door', async () => {
  if (typeof schemathesis === 'string') return
  const run = await fuzz(stack, schemathesis, { phases, seed: 20_261, maxExamples: 1 })
  const faults = faultsOf(run, phases)
  expect([faults, faults.length === 0 ? '' : run.output]).toEqual([[], ''])
  expect(run.report.operations.tested).toBeGreaterThan(50)
}, 600_000)

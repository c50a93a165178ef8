import { parseArgs } from 'node:util'
import { startStack } from '#stack/test-stack.ts'
import { faultsOf, fuzz, phases } from './fuzz.ts'
import { findSchemathesis } from './schemathesis.ts'

/**
 * `npm run fuzz:api [-- --seed N] [--max-examples M] [--minutes T]`: schemathesis against a stack of its own (docs/fuzzing.md).
 * The last line is the sum; it exits with 1 when something was found, or when schemathesis cannot be had.
 */
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    'max-examples': { type: 'string', default: '50' },
    minutes: { type: 'string' },
    as: { type: 'string', default: 'mia' },
  },
})
const whole = (name: string, value: string): number => {
  if (!/^[1-9]\d{0,5}$/.test(value)) throw new Error(`--${name} must be a whole number above 0`)
  return Number(value)
}
const seed = whole('seed', values.seed)
const maxExamples = whole('max-examples', values['max-examples'])
/** Shared by the two phases that go on as long as they may. */
const seconds = values.minutes === undefined ? undefined : Math.min(whole('minutes', values.minutes) * 30, 780)

const schemathesis = findSchemathesis()
if (typeof schemathesis === 'string') {
  process.stderr.write(`${schemathesis}\n`)
  process.exit(1)
}
for (const event of ['SIGINT', 'SIGTERM', 'SIGHUP', 'disconnect']) process.on(event, () => process.exit(130))

const stack = await startStack()
const found: string[] = []
let cases = 0
try {
  for (const phase of phases) {
    const run = await fuzz(stack, schemathesis, {
      phases: [phase],
      seed,
      maxExamples,
      seconds: phase === 'fuzzing' || phase === 'stateful' ? seconds : undefined,
    })
    const faults = faultsOf(run, [phase]).map((fault) => `${phase}: ${fault}`)
    if (faults.length > 0) process.stderr.write(run.output)
    const { generated } = run.report.test_cases
    console.log(`${faults.length === 0 ? 'ok  ' : 'FAIL'} ${run.report.running_time.toFixed(1).padStart(6)} s  ${phase}: ${generated} cases`)
    cases += generated
    found.push(...faults)
  }
} catch (error) {
  found.push(error instanceof Error ? error.message : 'the run broke off')
} finally {
  await stack.stop()
}
console.log(`fuzz api as ${values.as}, seed ${seed}: ${cases} cases, ${found.length} faults${found.length === 0 ? '' : `; below: ${found.join(' | ')}`}`)
process.exit(found.length === 0 ? 0 : 1)

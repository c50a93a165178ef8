import { globSync } from 'node:fs'
import { createVitest, type Vitest } from 'vitest/node'
import { runChecks, projectRoot } from './static-checks.ts'
import { openRunFolder } from './run-folder.ts'
import { tally } from './tally.ts'

/**
 * `npm test`: the static checks, then every test. `npm test -- WORD...` runs only the test files whose path contains one of the
 * words, and no static check. The last line is `N passed, N failed, N skipped`; a static check counts as one test.
 */
const words = process.argv.slice(2)
const files = globSync('test/**/*.test.ts', { cwd: projectRoot }).filter((file) => words.length === 0 || words.some((word) => file.includes(word)))

let vitest: Vitest | undefined
let interrupted = false

/** Ctrl-C, a signal, or the end of the command that started us: the servers of the run end with it. */
async function interrupt(): Promise<void> {
  if (interrupted) return
  interrupted = true
  await vitest?.cancelCurrentRun('keyboard-input')
}
/** Alone: vitest ends the process at its first signal, and whatever was started would be left behind. */
function listen(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.removeAllListeners(signal).on(signal, () => void interrupt())
}
listen()
process.on('disconnect', () => void interrupt())

const checked = words.length > 0 ? [] : await runChecks(({ name, passed, output }) => console.log(passed ? `✓ ${name}` : `✗ ${name}\n${output}`))
const count = { passed: checked.filter(({ passed }) => passed).length, failed: checked.filter(({ passed }) => !passed).length, skipped: 0 }

if (files.length === 0) {
  count.failed++
  console.log(`no test file has ${words.map((word) => `'${word}'`).join(' or ')} in its path`)
} else if (!interrupted) {
  const folder = openRunFolder()
  // One file alone is ready sooner without.
  if (files.length > 1) process.env['LEASEHOLD_TEST_STACKS'] = folder.stacks
  vitest = await createVitest('test', { root: projectRoot, run: true, watch: false })
  listen()
  await vitest.start(files)
  const { passed, failed, skipped, skips } = tally(vitest.state.getTestModules(), vitest.state.getUnhandledErrors().length)
  await vitest.close()
  const left = await folder.end()
  for (const process of left) console.log(`left behind, and ended: ${process}`)
  for (const skip of skips) console.log(`skipped: ${skip}`)
  count.passed += passed
  count.failed += failed + left.length
  count.skipped += skipped
  if (passed + failed + skipped === 0) count.failed++
}
if (interrupted) {
  count.failed++
  console.log('interrupted')
}
console.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`)
process.exit(count.failed === 0 ? 0 : 1)

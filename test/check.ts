import { runChecks } from './static-checks.ts'

/** `npm run check`: the sources alone, without a server. */
const results = await runChecks(({ name, passed, output }) => console.log(passed ? `✓ ${name}` : `✗ ${name}\n${output}`))
process.exitCode = results.every(({ passed }) => passed) ? 0 : 1

import path from 'node:path'
import { parseArgs } from 'node:util'
import { checkoutBench } from './checkout.ts'
import { checksBench } from './checks.ts'
import { notFoundBench } from './not-found.ts'
import { rotationsBench } from './rotations.ts'

/**
 * `npm run bench NAME [-- --profile FOLDER]`: measures one claim on a stack of its own; FOLDER gets a CPU profile of each role
 * process. Standard output gets the figures and nothing else; the last
 * line names every aim that was missed after `below:`. Exit code 1: an operation failed, so the figures mean nothing.
 */
const benches: Readonly<Record<string, (say: (line: string) => void, profiles?: string) => Promise<void>>> = {
  checkout: checkoutBench,
  checks: checksBench,
  'not-found': notFoundBench,
  rotations: rotationsBench,
}

const { values, positionals } = parseArgs({ options: { profile: { type: 'string' } }, allowPositionals: true })
const [name = ''] = positionals
const profiles = values.profile === undefined ? [] : [path.resolve(values.profile)]
const bench = Object.hasOwn(benches, name) ? benches[name] : undefined
/** The stack that is being measured ends with this process, and this process with the command that started it. */
for (const event of ['SIGINT', 'SIGTERM', 'SIGHUP', 'disconnect']) process.on(event, () => process.exit(130))

if (bench === undefined) {
  process.stderr.write(`npm run bench NAME, where NAME is one of: ${Object.keys(benches).join(', ')}\n`)
  process.exit(2)
}
await bench((line) => void process.stdout.write(`${line}\n`), ...profiles).then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : 'the bench failed'}\n`)
    process.exit(1)
  },
)

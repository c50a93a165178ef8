import { parseArgs } from 'node:util'
import { printStatus } from './print-status.ts'

/** `npm run status [-- -o json]` */
const { values } = parseArgs({ options: { output: { type: 'string', short: 'o', default: 'text' } } })
if (!(await printStatus(values.output === 'json' ? 'json' : 'text'))) process.exitCode = 1

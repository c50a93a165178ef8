import { parseArgs } from 'node:util'
import { homePath } from './home.ts'
import type { StackOptions } from './supervisor.ts'

export interface StartOptions extends StackOptions {
  readonly detach: boolean
}

/**
 * Reads the arguments of `npm start`.
 *
 * @throws Error naming the argument that is wrong
 */
export function readStartOptions(args: readonly string[]): StartOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      detach: { type: 'boolean', default: false },
      api: { type: 'string', default: '1' },
      workers: { type: 'string', default: '1' },
      'servers-only': { type: 'boolean', default: false },
      'time-skipping': { type: 'boolean', default: false },
      'random-ports': { type: 'boolean', default: false },
      'no-tour': { type: 'boolean', default: false },
      'role-env': { type: 'string', multiple: true, default: [] },
    },
  })
  return {
    home: homePath(),
    detach: values.detach,
    apis: count('--api', values.api),
    workers: count('--workers', values.workers),
    roles: !values['servers-only'],
    timeSkipping: values['time-skipping'],
    randomPorts: values['random-ports'],
    tour: !values['no-tour'],
    roleEnvironment: Object.fromEntries(values['role-env'].map((pair) => pair.split(/=(.*)/).slice(0, 2) as [string, string])),
  }
}

function count(name: string, value: string): number {
  const number = Number(value)
  if (!Number.isInteger(number) || number < 1 || number > 16) throw new Error(`${name} must be a whole number between 1 and 16`)
  return number
}

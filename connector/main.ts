import { readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { pino } from 'pino'
import { adapters } from './adapters/all.ts'
import { startConnector } from './connector.ts'
import { join } from './join.ts'
import { openJournal } from './journal.ts'
import { lockHome } from './lock.ts'
import { readAuthorities } from './trust.ts'

/**
 * The connector: an agent in a private network. It only dials out, only to its control plane and its own allow list.
 *
 *     node connector/main.ts --home DIR join --url URL --token-file FILE --allow HOST:PORT...
 *     node connector/main.ts --home DIR run
 *
 * LEASEHOLD_CA_FILE names the certificate authorities of the control plane.
 */

const build = '0.1.0'

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { home: { type: 'string' }, url: { type: 'string' }, 'token-file': { type: 'string' }, allow: { type: 'string', multiple: true } },
  })
  const home = path.resolve(required(values.home, '--home'))
  const [command = 'run', ...rest] = positionals
  if (rest.length > 0 || (command !== 'join' && command !== 'run')) throw new Error('the command is join or run')
  if (command === 'run') return run(home)
  const token = readToken(required(values['token-file'], '--token-file'))
  const { connectorId } = await join({ home, url: required(values.url, '--url'), token, allow: values.allow ?? [], ca: readAuthorities(process.env) })
  process.stdout.write(`${JSON.stringify({ connectorId })}\n`)
}

async function run(home: string): Promise<void> {
  const log = pino({ level: 'info', base: { role: 'connector', pid: process.pid } })
  const unlock = await lockHome(home)
  const journal = openJournal(path.join(home, 'journal.jsonl'))
  const connector = startConnector({ home, build, journal, adapters, ca: readAuthorities(process.env), log })
  const stop = (): void =>
    void connector
      .stop()
      .then(unlock)
      .then(
        () => process.exit(0),
        () => process.exit(1),
      )
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
}

/** A file, because arguments are visible to every process of the machine. */
function readToken(file: string): string {
  if ((statSync(file).mode & 0o077) !== 0) throw new Error('the token file must be readable by its owner only (0600)')
  return readFileSync(file, 'utf8').trim()
}

function required(value: string | undefined, name: string): string {
  if (value === undefined || value === '') throw new Error(`${name} is missing`)
  return value
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : 'the connector failed'}\n`)
  process.exit(1)
})

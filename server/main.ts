import { parseArgs } from 'node:util'
import { startApiRole } from './api-role.ts'
import { startBridgeRole } from './bridge-role.ts'
import { ConfigurationError, readConfig } from './config.ts'
import { readCredentials } from './credentials.ts'
import { listenForHealth } from './health.ts'
import { createLog } from './log.ts'
import { createMetrics } from './metrics/metrics.ts'
import type { RunningRole, StartRole } from './role.ts'
import { startWorkerRole } from './worker-role.ts'

/** `node server/main.ts --roles api,worker,bridge`: starts the roles in this process and drains them on SIGTERM or SIGINT. */

const starts: Readonly<Record<string, StartRole>> = { api: startApiRole, worker: startWorkerRole, bridge: startBridgeRole }
const drainLimit = 5_000

async function main(): Promise<void> {
  const names = rolesOf(process.argv.slice(2))
  const config = readConfig(process.env)
  const credentials = await readCredentials(config.credentialsFile)
  const log = createLog(config, names.join(','))
  const metrics = createMetrics()
  const roles: RunningRole[] = []
  for (const name of names) roles.push(await (starts[name] as StartRole)({ config, credentials, log, metrics }))
  if (config.healthPort !== undefined) listenForHealth(config.healthPort, roles, metrics)
  log.info('ready')
  const stop = (signal: string) => void drain(roles, () => log.info({ signal }, 'draining'))
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
}

function rolesOf(argv: string[]): string[] {
  const { values } = parseArgs({ args: argv, options: { roles: { type: 'string' } } })
  const names = (values.roles ?? '').split(',').filter((name) => name !== '')
  const unknown = names.filter((name) => !Object.hasOwn(starts, name))
  if (names.length === 0 || unknown.length > 0) throw new ConfigurationError([`--roles: must list some of ${Object.keys(starts).join(', ')}`])
  return names
}

async function drain(roles: readonly RunningRole[], announce: () => void): Promise<void> {
  announce()
  const limit = setTimeout(() => process.exit(1), drainLimit)
  limit.unref()
  const ends = await Promise.allSettled(roles.map((role) => role.drain()))
  process.exit(ends.every((end) => end.status === 'fulfilled') ? 0 : 1)
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : 'start failed'}\n`)
  process.exit(1)
})

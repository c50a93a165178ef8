import { enableCompileCache } from 'node:module'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { ConfigurationError, roleNames, type RoleName } from './config.ts'
import { listenForHealth } from './health.ts'
import { createLog } from './log.ts'
import { createMetrics } from './metrics/metrics.ts'
import type { RunningRole, StartRole } from './role.ts'
import { readStartUp } from './start-up.ts'
import { refuseDevelopmentServers } from './surroundings.ts'

/** `node server/main.ts --roles api,worker,bridge`: starts the roles in this process and drains them on SIGTERM or SIGINT. */

/** A process loads what its roles need: the SDK of the worker alone takes a second of a core. */
const starts: Readonly<Record<RoleName, StartRole>> = {
  api: async (context) => (await import('./api-role.ts')).startApiRole(context),
  worker: async (context) => (await import('./worker-role.ts')).startWorkerRole(context),
  bridge: async (context) => (await import('./bridge-role.ts')).startBridgeRole(context),
}
const drainLimit = 5_000

async function main(): Promise<void> {
  const names = rolesOf(process.argv.slice(2))
  const startUp = await readStartUp(process.env, names)
  await refuseDevelopmentServers(startUp, names)
  const { config } = startUp
  // The next start loads the same code in half the time.
  if (config.cacheDirectory !== undefined) enableCompileCache(path.join(config.cacheDirectory, 'compiled'))
  const log = createLog(config, names.join(','))
  const metrics = createMetrics()
  const roles: RunningRole[] = []
  for (const name of names) roles.push(await starts[name]({ ...startUp, log, metrics }))
  if (config.healthPort !== undefined) listenForHealth(config.healthPort, roles, metrics)
  log.info('ready')
  const stop = (signal: string) => void drain(roles, () => log.info({ signal }, 'draining'))
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
}

function rolesOf(argv: string[]): RoleName[] {
  const { values } = parseArgs({ args: argv, options: { roles: { type: 'string' } } })
  const names = (values.roles ?? '').split(',').filter((name) => name !== '')
  const known = names.filter((name): name is RoleName => Object.hasOwn(starts, name))
  if (names.length === 0 || known.length < names.length) throw new ConfigurationError([`--roles: must list some of ${roleNames.join(', ')}`])
  return known
}

async function drain(roles: readonly RunningRole[], announce: () => void): Promise<void> {
  announce()
  const limit = setTimeout(() => process.exit(1), drainLimit)
  limit.unref()
  const ends = await Promise.allSettled(roles.map((role) => role.drain()))
  process.exit(ends.every((end) => end.status === 'fulfilled') ? 0 : 1)
}

main().catch((error: unknown) => {
  // A fault of the configuration is for operators: where in our code it was found says nothing to them.
  const words = error instanceof ConfigurationError ? error.message : error instanceof Error ? (error.stack ?? error.message) : 'start failed'
  process.stderr.write(`${words}\n`)
  process.exit(1)
})

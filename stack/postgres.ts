import { spawnSync } from 'node:child_process'
import { chownSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import pg from 'pg'
import { asRoot, type Home } from './home.ts'
import type { Program } from './process.ts'

export interface PostgresServer {
  readonly name: 'postgres' | 'target'
  readonly port: number
  /** Password of the superuser `postgres`. */
  readonly password: string
  /** Folder of the programs. */
  readonly programs: string
}

/** PostgreSQL refuses to run as root: the user behind sudo, else nobody. */
function unprivileged(): { uid: number; gid: number } | undefined {
  if (!asRoot()) return undefined
  const [uid, gid] = [Number(process.env['SUDO_UID']), Number(process.env['SUDO_GID'])]
  return uid > 0 && gid > 0 ? { uid, gid } : { uid: 65_534, gid: 65_534 }
}

const settings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '200',
  shared_buffers: '128MB',
  timezone: 'UTC',
  log_timezone: 'UTC',
  // A statement may hold a password; errors are logged without the statement that caused them.
  log_min_error_statement: 'panic',
}

/** Prepares the data folder on the first run. @throws Error with initdb's own words */
export function postgresProgram(home: Home, { name, port, password, programs }: PostgresServer): Program {
  const user = unprivileged()
  const data = path.join(home.postgresPlace, name)
  if (!existsSync(path.join(data, 'PG_VERSION'))) initialise(data, { password, programs, user })
  const options = { ...settings, port: String(port), cluster_name: `${home.stackId}-${name}` }
  return {
    name,
    role: name,
    port,
    user,
    command: path.join(programs, 'postgres'),
    stopSignal: 'SIGINT',
    args: ['-D', data, ...Object.entries(options).flatMap(([key, value]) => ['-c', `${key}=${value}`])],
    ready: async () => (await ask(superuserUrl(port, password), 'show cluster_name'))['cluster_name'] === options.cluster_name,
  }
}

function initialise(data: string, { password, programs, user }: { password: string; programs: string; user: { uid: number; gid: number } | undefined }): void {
  const passwordFile = `${data}.password`
  rmSync(data, { recursive: true, force: true })
  mkdirSync(data, { recursive: true, mode: 0o700 })
  writeFileSync(passwordFile, password, { mode: 0o600 })
  if (user !== undefined) for (const file of [data, passwordFile]) chownSync(file, user.uid, user.gid)
  try {
    const args = [
      '-D',
      data,
      '--username=postgres',
      '--auth=scram-sha-256',
      `--pwfile=${passwordFile}`,
      '--encoding=UTF8',
      '--locale=C',
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
      '--no-instructions',
    ]
    const { status, stderr, error } = spawnSync(path.join(programs, 'initdb'), args, {
      ...user,
      cwd: '/',
      encoding: 'utf8',
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { PATH: programs, TZ: 'UTC' },
    })
    if (status !== 0) {
      rmSync(data, { recursive: true, force: true })
      throw new Error(`initdb failed: ${error?.message ?? stderr.trim()}`)
    }
  } finally {
    rmSync(passwordFile, { force: true })
  }
}

export const superuserUrl = (port: number, password: string): string => `postgres://postgres:${password}@127.0.0.1:${port}/postgres`

async function ask(url: string, statement: string): Promise<Record<string, unknown>> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1_000, query_timeout: 1_000 })
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(statement)).rows[0] ?? {}
  } finally {
    await client.end()
  }
}

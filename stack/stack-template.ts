import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import path from 'node:path'
import { readHome } from './home.ts'

/**
 * A stopped stack that has had its first run, for the stacks of one test run that come one after the other: from a copy one is ready in a
 * third of the time. All live in the same folder, because a home knows its own path, and have the same ports, because identities name them.
 */
export interface StackTemplate {
  /** Home of whoever runs. */
  readonly home: string
  readonly isMade: () => boolean
  /** Makes `home` what it was after the first run. */
  readonly restore: () => void
  /** Keeps `home`, whose stack has stopped after its first run. @returns false: it keeps data elsewhere, of which there would be no copy */
  readonly keep: () => boolean
}

/** Programs and compiled code, thousands of files that no run changes: they stay where they are. */
const cache = 'cache'

/** @param folder that belongs to the test run */
export function stackTemplate(folder: string): StackTemplate {
  const home = path.join(folder, 'stack')
  const kept = path.join(folder, 'template')
  const state = (): string[] => readdirSync(home).filter((name) => name !== cache)
  return {
    home,
    isMade: () => existsSync(kept),
    restore: () => {
      for (const name of state()) rmSync(path.join(home, name), { recursive: true, force: true })
      copy([`${kept}/.`], home)
    },
    keep: () => {
      if (readHome(home)?.postgresPlace !== home) return false
      rmSync(path.join(home, 'logs'), { recursive: true, force: true })
      mkdirSync(`${kept}.next`, { mode: 0o711 })
      copy(
        state().map((name) => path.join(home, name)),
        `${kept}.next`,
      )
      renameSync(`${kept}.next`, kept)
      return true
    },
  }
}

/** With owners and modes: PostgreSQL insists on both. */
function copy(from: readonly string[], to: string): void {
  const { status, stderr } = spawnSync('cp', ['-Rp', ...from, to], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`the home of a stack could not be copied: ${stderr.trim()}`)
}

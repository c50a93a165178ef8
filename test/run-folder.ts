import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

/** Everything that a run writes: every temporary folder of it lies inside, so that nothing is left behind. */
export interface RunFolder {
  /** Where the stacks of the run have what they share. */
  readonly stacks: string
  /** Removes it. @returns the command lines of the programs that were still running in it, after ending them */
  end(): Promise<string[]>
}

export function openRunFolder(): RunFolder {
  const folder = mkdtempSync(path.join(realpathSync(os.tmpdir()), 'leasehold-test-'))
  // PostgreSQL runs as another user when we are root.
  chmodSync(folder, 0o711)
  process.env['TMPDIR'] = folder
  const stacks = path.join(folder, 'stacks')
  mkdirSync(stacks, { mode: 0o711 })
  return {
    stacks,
    end: async () => {
      const left = running(folder)
      for (const { pid } of left) process.kill(pid, 'SIGKILL')
      rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
      return left.map(({ command }) => command)
    },
  }
}

/** Programs that name the folder on their command line; where there is no /proc, none are found. */
function running(folder: string): { pid: number; command: string }[] {
  const found: { pid: number; command: string }[] = []
  for (const pid of processIds()) {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
      if (command.includes(folder) && pid !== process.pid) found.push({ pid, command })
    } catch {
      // It ended in between.
    }
  }
  return found
}

function processIds(): number[] {
  try {
    return readdirSync('/proc')
      .map(Number)
      .filter((pid) => pid > 0)
  } catch {
    return []
  }
}

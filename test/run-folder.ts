import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statfsSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

/** Everything that a run writes: every temporary folder of it lies inside, so that nothing is left behind. */
export interface RunFolder {
  /** Where the stacks of the run have what they share. */
  readonly stacks: string
  /** Removes it. @returns the command lines of the programs that were still running in it, after ending them */
  end(): Promise<string[]>
}

/** Several times what a run writes, bytes: memory is for others too. */
const roomForARun = 6 * 2 ** 30

export function openRunFolder(): RunFolder {
  const folder = mkdtempSync(path.join(inMemory() ?? realpathSync(os.tmpdir()), 'leasehold-test-'))
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

/**
 * A run makes and drops a hundred databases of a thousand files each: on a disk that is most of its time. Where there is no such folder, it
 * has noexec (programs start scripts there), it is small, or TMPDIR names another place, a run is slower and nothing else.
 */
function inMemory(): string | undefined {
  const folder = '/dev/shm'
  if (process.env['TMPDIR'] !== undefined) return undefined
  try {
    const mount = readFileSync('/proc/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' '))
      .find(([, place, kind]) => place === folder && kind === 'tmpfs')
    if (mount === undefined || mount[3]?.split(',').includes('noexec')) return undefined
    const { bavail, bsize } = statfsSync(folder)
    return bavail * bsize >= roomForARun ? folder : undefined
  } catch {
    return undefined
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

import { spawn } from 'node:child_process'
import { once } from 'node:events'

/** A program that a test started. */
export interface RunningProgram {
  readonly pid: number | undefined
  /** What it has printed so far. */
  readonly output: () => string
  /** Exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>
  readonly stop: () => Promise<void>
}

/** @param env the whole environment besides PATH */
export function startProgram(command: string, args: readonly string[], env: Readonly<Record<string, string>>): RunningProgram {
  const child = spawn(command, args, { cwd: '/', stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env['PATH'] ?? '', ...env } })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  const ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string)
  return {
    pid: child.pid,
    output: () => output,
    ended,
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
      const late = setTimeout(() => child.kill('SIGKILL'), 8_000)
      await ended
      clearTimeout(late)
    },
  }
}

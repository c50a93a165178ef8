import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import path from 'node:path'
import { invitation } from './invitation.ts'
import { readHome } from './home.ts'
import { readStatus } from './read-status.ts'
import { readStartOptions, type StartOptions } from './start-options.ts'
import { supervise, type StackOptions } from './supervisor.ts'

/**
 * `npm start [-- --detach] [--api N] [--workers N]`: brings everything up. In the foreground Ctrl-C ends it, and so does the end
 * of the process that started us; detached it runs until `npm stop`.
 */

/** What a detached supervisor tells the process that waits for it. */
export type StartReport = { readonly line: string } | { readonly ready: true } | { readonly failed: string }

/** A terminal and npm both pass Ctrl-C on; only a later one is the second. */
const sameSignal = 1_000

async function main(): Promise<void> {
  const { detach, ...options } = readStartOptions(process.argv.slice(2))
  const running = await readStatus(readHome(options.home)).catch(() => undefined)
  if (running?.state === 'ready') return say(`already running\n${invitation(running.urls, options.home)}`)
  if (detach) await startDetached(options)
  else await startHere(options)
}

async function startHere(options: StackOptions): Promise<void> {
  let stopping = 0
  let supervisor: Awaited<ReturnType<typeof supervise>> | undefined
  const report = (message: StartReport): void => void (process.env['LEASEHOLD_DETACHED'] === '1' && process.connected && process.send?.(message))
  const print = (line: string): void => (process.env['LEASEHOLD_DETACHED'] === '1' ? report({ line }) : say(line))
  const stop = (): void => {
    if (stopping !== 0 && Date.now() - stopping > sameSignal) process.exit(130)
    if (stopping !== 0) return
    stopping = Date.now()
    void (supervisor?.stop() ?? Promise.resolve()).then(
      () => process.exit(0),
      () => process.exit(1),
    )
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop)
  if (process.env['LEASEHOLD_LIFELINE'] === '1') process.on('disconnect', stop)
  supervisor = await supervise(options, print, () => setImmediate(stop)).catch((error: unknown) => {
    const failed = error instanceof Error ? error.message : 'the start failed'
    report({ failed })
    throw error
  })
  print(invitation(supervisor.status().urls, options.home))
  report({ ready: true })
}

/** Starts the supervisor as a process of its own and returns when it is ready. */
async function startDetached(options: Omit<StartOptions, 'detach'>): Promise<void> {
  mkdirSync(path.join(options.home, 'logs'), { recursive: true })
  const output = openSync(path.join(options.home, 'logs', 'supervisor.log'), 'a', 0o600)
  const args = process.argv.slice(2).filter((argument) => argument !== '--detach')
  const child = spawn(process.execPath, [process.argv[1] as string, ...args], {
    detached: true,
    stdio: ['ignore', output, output, 'ipc'],
    env: { ...process.env, LEASEHOLD_DETACHED: '1', LEASEHOLD_LIFELINE: '0' },
  })
  closeSync(output)
  await new Promise<void>((resolve, reject) => {
    child.on('message', (message: StartReport) => {
      if ('line' in message) say(message.line)
      else if ('failed' in message) reject(new Error(message.failed))
      else resolve()
    })
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`the supervisor ended with ${code ?? 'a signal'}; see logs/supervisor.log in the home`)))
  })
  child.removeAllListeners('exit')
  child.disconnect()
  child.unref()
}

const say = (line: string): void => void process.stdout.write(`${line}\n`)
// Who reads our lines may go away; the stack stays.
process.stdout.on('error', () => {})

main().then(
  () => process.env['LEASEHOLD_LIFELINE'] === '1' && process.channel?.unref(),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : 'the start failed'}\n`)
    process.exit(1)
  },
)

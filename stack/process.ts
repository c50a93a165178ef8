import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, statSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Guardian } from './guardian.ts'

/** A program that the supervisor keeps running. */
export interface Program {
  /** Unique in the stack; names the log. */
  readonly name: string
  readonly role: string
  readonly command: string
  readonly args: readonly string[]
  /** The whole environment besides PATH, HOME, TZ and where Node keeps compiled code. Holds no secret. */
  readonly env?: Readonly<Record<string, string>>
  /** Unprivileged user to run as. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined
  readonly port?: number | undefined
  /** Ends it in order. */
  readonly stopSignal: NodeJS.Signals
  /** Whether the program that answers is this one and can work. */
  readonly ready: () => Promise<boolean>
}

export interface ProcessFacts {
  readonly name: string
  readonly role: string
  readonly pid: number | null
  readonly port: number | null
  /** How often it was started. */
  readonly starts: number
  readonly state: 'starting' | 'ready' | 'held' | 'waiting' | 'stopped'
}

export interface Process {
  readonly facts: () => ProcessFacts
  /**
   * Starts it when it is down and waits until it is ready.
   *
   * @param once variables of this one start; when it is started again, they are gone
   * @throws Error with the end of its log
   */
  up(once?: Readonly<Record<string, string>>, limitMs?: number): Promise<void>
  /** Sends a signal to the process; it is started again when it ends. */
  kill(signal: NodeJS.Signals): void
  /** Ends it and keeps it down until `up`. */
  hold(signal?: NodeJS.Signals): Promise<void>
  stop(): Promise<void>
}

const stopLimit = 8_000
const longestPause = 5_000
const maximumLog = 20 * 1024 * 1024
const patience = 60_000

export function createProcess(program: Program, { guardian, logs, home }: { guardian: Guardian; logs: string; home: string }): Process {
  const { name, role, port } = program
  const log = path.join(logs, `${name}.log`)
  let child: ChildProcess | undefined
  let wanted: 'up' | 'held' | 'stopped' = 'stopped'
  let ready = false
  let failures = 0
  let starts = 0
  let restart: NodeJS.Timeout | undefined

  function launch(once: Readonly<Record<string, string>> = {}): void {
    clearTimeout(restart)
    ready = false
    starts += 1
    const output = openLog(log)
    const started = Date.now()
    const next = spawn(program.command, program.args, {
      detached: true,
      cwd: '/',
      stdio: ['ignore', output, output],
      env: { PATH: process.env['PATH'] ?? '', HOME: home, TZ: 'UTC', NODE_COMPILE_CACHE: path.join(home, 'cache', 'compiled'), ...program.env, ...once },
      ...program.user,
    })
    closeSync(output)
    child = next
    const { pid } = next
    if (pid !== undefined) guardian.watch(pid, program.stopSignal)
    let ended = false
    const onEnd = (): void => {
      if (ended) return
      ended = true
      if (pid !== undefined) guardian.forget(pid)
      if (child !== next) return
      child = undefined
      ready = false
      failures = Date.now() - started > 10_000 ? 1 : failures + 1
      if (wanted === 'up') restart = setTimeout(() => launch(), Math.min(100 * 2 ** (failures - 1), longestPause))
    }
    next.once('exit', onEnd)
    next.once('error', onEnd)
    void watchReady(next)
  }

  async function watchReady(watched: ChildProcess): Promise<void> {
    for (let pause = 20; child === watched; pause = Math.min(pause * 1.3, 250)) {
      if (await program.ready().catch(() => false)) {
        ready = child === watched
        if (ready) failures = 0
        return
      }
      await sleep(pause)
    }
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    clearTimeout(restart)
    const ending = child
    if (ending?.pid === undefined || ending.exitCode !== null || ending.signalCode !== null) return
    const gone = new Promise<void>((resolve) => ending.once('exit', () => resolve()))
    ending.kill(signal)
    const late = setTimeout(() => killGroup(ending.pid as number), stopLimit)
    await gone
    clearTimeout(late)
    killGroup(ending.pid)
  }

  return {
    facts: () => ({
      name,
      role,
      pid: child?.pid ?? null,
      port: port ?? null,
      starts,
      state: wanted === 'held' ? 'held' : wanted === 'stopped' ? 'stopped' : child === undefined ? 'waiting' : ready ? 'ready' : 'starting',
    }),
    async up(once = {}, limitMs = patience) {
      wanted = 'up'
      failures = 0
      if (child === undefined) launch(once)
      const deadline = Date.now() + limitMs
      while (!ready) {
        if (failures > 2 || Date.now() > deadline) throw new Error(`${name} did not become ready; the end of its log:\n${lastLines(log)}`)
        await sleep(15)
      }
    },
    kill: (signal) => void child?.kill(signal),
    async hold(signal = program.stopSignal) {
      wanted = 'held'
      await end(signal)
    },
    async stop() {
      wanted = 'stopped'
      await end(program.stopSignal)
    },
  }
}

/** What a program started itself must not stay behind either. */
function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // The group is gone, which is what we want.
  }
}

function openLog(file: string): number {
  mkdirSync(path.dirname(file), { recursive: true })
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > maximumLog) renameSync(file, `${file}.1`)
  return openSync(file, 'a', 0o600)
}

export function lastLines(file: string, count = 20): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-count).join('\n')
  } catch {
    return '(no log)'
  }
}

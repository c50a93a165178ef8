import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { askSupervisor } from './control.ts'
import { stackCredentials } from './credentials.ts'
import { readHome, type Home } from './home.ts'
import { superuserUrl } from './postgres.ts'
import type { ProcessFacts } from './process.ts'
import type { StartReport } from './start.ts'
import { stackTemplate } from './stack-template.ts'
import { untilGone } from './until-gone.ts'
import type { StackUrls } from './urls.ts'

export interface TestStackOptions {
  /** Folder; absent: a new one below the folder for temporary files, which `stop` deletes. */
  readonly home?: string
  readonly apis?: number
  readonly workers?: number
  /** false: servers only. */
  readonly roles?: boolean
  /** Lets a test move the clock of a workflow. */
  readonly timeSkipping?: boolean
  /** true does the tour on the first run. */
  readonly tour?: boolean
  readonly ports?: 'random' | 'preferred'
  /** Variables of the role processes that replace the stack's own. */
  readonly roleEnvironment?: Readonly<Record<string, string>>
  /** Root of the source tree that is started; absent: this one. */
  readonly program?: string
}

/** A running stack as tests see it. */
export interface Stack {
  readonly home: string
  readonly urls: StackUrls
  /** Superuser of the control database, and of the target. */
  readonly superuserUrl: string
  readonly targetSuperuserUrl: string
  processes(): Promise<readonly ProcessFacts[]>
  /** Sends a signal; the supervisor starts the process again. */
  kill(name: string, signal?: NodeJS.Signals): Promise<void>
  /** Ends a process and keeps it down until `restart`. */
  hold(name: string, signal?: NodeJS.Signals): Promise<void>
  /**
   * Returns when the process is ready again.
   *
   * @param crashPoint name of a `// crash point:` of its code, where it gets the signal when it comes there the next time
   */
  restart(name: string, crashPoint?: string, signal?: 'SIGKILL' | 'SIGSTOP'): Promise<void>
  /** Returns when no process of the stack is left. */
  stop(): Promise<void>
}

const projectRoot = path.dirname(import.meta.dirname)

/** Whether a stack of this process is in the one home that begins with the template. */
let isHomeTaken = false

/**
 * Starts a stack that ends with this process, however it ends. LEASEHOLD_TEST_STACKS names a folder where stacks of one test run begin
 * with what the first run of the first of them made.
 *
 * @throws Error with the reason when it does not become ready
 */
export async function startStack(options: TestStackOptions = {}): Promise<Stack> {
  const { home, roles = true, tour = false } = options
  if (home !== undefined) return launch(home, options)
  const folder = process.env['LEASEHOLD_TEST_STACKS']
  if (folder === undefined || isHomeTaken || !roles || tour) return launchAlone(mkdtempSync(path.join(os.tmpdir(), 'leasehold-test-')), options)
  const template = stackTemplate(folder)
  await endOf(template.home)
  if (!template.isMade()) {
    await (await launch(template.home)).stop()
    if (!template.keep()) return launchAlone(template.home, options)
  }
  template.restore()
  const stack = await launch(template.home, options)
  isHomeTaken = true
  return { ...stack, stop: () => stack.stop().finally(() => (isHomeTaken = false)) }
}

/** A test file that was ended in the middle may have left a stack that is just stopping. */
const endOf = async (home: string): Promise<void> => {
  if (readHome(home) !== undefined)
    await connectStack(home).then(
      (stack) => stack.stop(),
      () => {},
    )
}

/** A stack whose home goes with it. */
async function launchAlone(home: string, options: TestStackOptions): Promise<Stack> {
  const stack = await launch(home, options)
  return {
    ...stack,
    async stop() {
      const { postgresPlace } = openKnown(home)
      await stack.stop()
      for (const folder of new Set([home, postgresPlace])) rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function launch(home: string, options: TestStackOptions = {}): Promise<Stack> {
  const { apis = 1, workers = 1, roles = true, timeSkipping = false, tour = false, ports = 'random', program = projectRoot } = options
  const args = [
    '--api',
    String(apis),
    '--workers',
    String(workers),
    ...(roles ? [] : ['--servers-only']),
    ...(timeSkipping ? ['--time-skipping'] : []),
    ...(tour ? [] : ['--no-tour']),
    ...(ports === 'random' ? ['--random-ports'] : []),
    ...Object.entries(options.roleEnvironment ?? {}).flatMap(([name, value]) => ['--role-env', `${name}=${value}`]),
  ]
  mkdirSync(path.join(home, 'logs'), { recursive: true })
  const output = openSync(path.join(home, 'logs', 'supervisor.log'), 'a', 0o600)
  const supervisor = spawn(process.execPath, [path.join(program, 'stack/start.ts'), ...args], {
    detached: true,
    stdio: ['ignore', output, output, 'ipc'],
    env: { ...process.env, LEASEHOLD_HOME: home, LEASEHOLD_DETACHED: '1', LEASEHOLD_LIFELINE: '1' },
  })
  closeSync(output)
  await new Promise<void>((resolve, reject) => {
    supervisor.on('message', (message: StartReport) => {
      if ('failed' in message) reject(new Error(message.failed))
      else if ('ready' in message) resolve()
    })
    supervisor.once('error', reject)
    supervisor.once('exit', (code) => reject(new Error(`the supervisor ended with ${code ?? 'a signal'}`)))
  })
  supervisor.removeAllListeners('exit')
  supervisor.unref()
  supervisor.channel?.unref()
  return connectStack(home)
}

/** Attaches to a stack that runs already. @throws Error when none runs in this home */
export async function connectStack(folder: string): Promise<Stack> {
  const home = openKnown(folder)
  const { urls } = await askSupervisor(home, { do: 'status' })
  const { postgres, target } = stackCredentials(home)
  const order = async (request: Parameters<typeof askSupervisor>[1]): Promise<void> => void (await askSupervisor(home, request, 90_000))
  return {
    home: folder,
    urls,
    superuserUrl: superuserUrl(Number(new URL(urls.postgres).port), postgres.superuser),
    targetSuperuserUrl: superuserUrl(Number(new URL(urls.target).port), target.superuser),
    processes: async () => (await askSupervisor(home, { do: 'status' })).processes,
    kill: (name, signal = 'SIGKILL') => order({ do: 'kill', name, signal }),
    hold: (name, signal = 'SIGTERM') => order({ do: 'hold', name, signal }),
    restart: (name, crashPoint, signal = 'SIGKILL') =>
      order({ do: 'restart', name, ...(crashPoint === undefined ? {} : { once: crashAt(crashPoint, signal) }) }),
    stop: async () => untilGone(await askSupervisor(home, { do: 'stop' })),
  }
}

const crashAt = (point: string, signal: string): Record<string, string> => ({
  LEASEHOLD_CRASH_SIGNAL: signal,
  LEASEHOLD_CRASH_POINT: `${point}:1`,
  NODE_OPTIONS: `--import ${path.join(import.meta.dirname, 'crash-loader.mjs')}`,
})

function openKnown(folder: string): Home {
  const home = readHome(folder)
  if (home === undefined) throw new Error('no stack was started in this home')
  return home
}

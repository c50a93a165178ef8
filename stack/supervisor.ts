import { mkdirSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { hasJoined, startConnector } from './connector-program.ts'
import { listenForControl, type ControlRequest } from './control.ts'
import { stackCredentials } from './credentials.ts'
import { firstRun, seedBeforeRoles } from './first-run.ts'
import { startGuardian } from './guardian.ts'
import { openHome, writePrivate } from './home.ts'
import { choosePorts } from './ports.ts'
import { createProcess, type Process, type ProcessFacts, type Program } from './process.ts'
import { startRoles } from './role-programs.ts'
import { startServers, type ServerContext } from './servers.ts'
import { externalServers, stackUrls, type StackUrls } from './urls.ts'

export interface StackOptions {
  readonly home: string
  readonly apis: number
  readonly workers: number
  /** false: servers only. */
  readonly roles: boolean
  readonly timeSkipping: boolean
  readonly randomPorts: boolean
  /** false leaves out the tour of a first run. */
  readonly tour: boolean
  /** Variables of the role processes that replace the stack's own, so that a fault injector can sit in between. */
  readonly roleEnvironment: Readonly<Record<string, string>>
}

export interface StackStatus {
  readonly state: 'starting' | 'ready' | 'stopping'
  readonly urls: StackUrls
  readonly processes: readonly ProcessFacts[]
}

export interface Supervisor {
  readonly status: () => StackStatus
  /** Ends everything in order: what asks before what answers. */
  stop(): Promise<void>
}

/** What ends together, first to last. */
const stopOrder: readonly (readonly string[])[] = [
  ['api', 'connector'],
  ['worker', 'bridge'],
  ['oidc', 'temporal', 'nats', 'openbao', 'postgres', 'target', 'mail'],
]

/**
 * Starts a stack and keeps it running in this process.
 *
 * @param print takes progress, a line each
 * @param onStop called when somebody asked over the control socket that it stops
 * @throws Error with the reason in its last lines; nothing stays behind
 */
export async function supervise(options: StackOptions, print: (line: string) => void, onStop: () => void): Promise<Supervisor> {
  const began = performance.now()
  process.umask(0o077)
  const home = openHome(options.home)
  const processes = new Map<string, Process>()
  const guardian = startGuardian()
  let state: StackStatus['state'] = 'starting'
  let stopped: Promise<void> | undefined
  mkdirSync(home.file('logs'), { recursive: true })

  const status = (): StackStatus => ({
    state,
    urls,
    processes: [...supervisorFacts(guardian.pid()), ...[...processes.values()].map((process) => process.facts())],
  })
  const control = await listenForControl(home, async (request) => {
    await obey(request, processes, onStop)
    return status()
  }).catch((error: unknown) => {
    guardian.release()
    throw error
  })
  const stop = (): Promise<void> =>
    (stopped ??= (async () => {
      state = 'stopping'
      for (const roles of stopOrder)
        await Promise.all([...processes.values()].filter((process) => roles.includes(process.facts().role)).map((process) => process.stop()))
      guardian.release()
      control.close()
    })())
  let urls: StackUrls = stackUrls(undefined)
  try {
    const ports = await choosePorts(home, options.randomPorts)
    urls = stackUrls(ports)
    const context: ServerContext = {
      home,
      ports,
      credentials: stackCredentials(home),
      timeSkipping: options.timeSkipping,
      external: externalServers(),
      add(program: Program) {
        const added = createProcess(program, { guardian, logs: home.file('logs'), home: home.path })
        processes.set(program.name, added)
        return added
      },
    }
    await startServers(context)
    print(`servers ready after ${seconds(began)} s`)
    if (options.roles) {
      await seedBeforeRoles(context)
      const fresh = !hasJoined(home)
      await Promise.all([startRoles(context, options), fresh || startConnector(context)])
      if (fresh) {
        await firstRun(context)
        await startConnector(context)
      }
      print(`ready after ${seconds(began)} s`)
      if (fresh && options.tour) await (await import('./run-tour.ts')).runTour(home, print)
    }
    state = 'ready'
    writePrivate(home.file('state.json'), { urls, target: { port: ports.target } })
    return { status, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

const seconds = (began: number): string => ((performance.now() - began) / 1_000).toFixed(1)

function supervisorFacts(guardianPid: number | undefined): ProcessFacts[] {
  return [
    { name: 'supervisor', role: 'supervisor', pid: process.pid, port: null, starts: 1, state: 'ready' },
    { name: 'guardian', role: 'guardian', pid: guardianPid ?? null, port: null, starts: 1, state: 'ready' },
  ]
}

async function obey(request: ControlRequest, processes: ReadonlyMap<string, Process>, onStop: () => void): Promise<void> {
  if (request.do === 'status') return
  if (request.do === 'stop') return onStop()
  const found = processes.get(request.name)
  if (found === undefined) throw new Error(`there is no process ${request.name}`)
  if (request.do === 'kill') return found.kill(request.signal)
  if (request.do === 'hold') return found.hold(request.signal)
  if (found.facts().state !== 'held') await found.hold()
  await found.up(request.once)
}

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, Connection } from '@temporalio/client'
import { freePort } from './free-port.ts'

/** A real Temporal server whose workflows' clocks a test can move, one by one. */
export interface TestTemporal {
  readonly address: string
  readonly namespace: string
  readonly connection: Connection
  readonly client: Client
  /** Moves the clock of one workflow. Timers on the way fire; the clock of PostgreSQL does not move. */
  readonly skip: (workflowId: string, ms: number) => Promise<void>
  /** Ends it with SIGKILL; `forget`: and loses everything that it had. */
  readonly kill: (options?: { readonly forget?: boolean }) => Promise<void>
  readonly start: () => Promise<void>
  readonly stop: () => Promise<void>
}

const namespace = 'leasehold'
const upLimit = 30_000

/**
 * @param dynamicConfig more settings, `key=value`
 * @throws Error when it does not come up within 30 s; LEASEHOLD_TEST_TEMPORAL names the binary (else `temporal` on PATH)
 */
export async function startTemporal(dynamicConfig: readonly string[] = []): Promise<TestTemporal> {
  const folder = await mkdtemp(path.join(tmpdir(), 'leasehold-temporal-'))
  const port = await freePort()
  const address = `127.0.0.1:${port}`
  let server: ChildProcess | undefined
  const start = async (): Promise<void> => {
    server = spawn(
      process.env['LEASEHOLD_TEST_TEMPORAL'] ?? 'temporal',
      [
        'server',
        'start-dev',
        '--ip',
        '127.0.0.1',
        '--port',
        String(port),
        '--headless',
        '--namespace',
        namespace,
        '--log-level',
        'error',
        '--db-filename',
        path.join(folder, 'temporal.db'),
        '--sqlite-pragma',
        'journal_mode=wal',
        '--sqlite-pragma',
        'synchronous=1',
        '--dynamic-config-value',
        'frontend.WorkflowTimeSkippingEnabled=true',
        ...dynamicConfig.flatMap((setting) => ['--dynamic-config-value', setting]),
      ],
      { stdio: 'ignore', env: { PATH: process.env['PATH'], HOME: folder } },
    )
    await untilUp(address)
  }
  const kill = async ({ forget = false } = {}): Promise<void> => {
    if (server === undefined) return
    const ended = once(server, 'exit')
    server.kill('SIGKILL')
    await ended
    server = undefined
    if (forget) await Promise.all(['', '-wal', '-shm'].map((suffix) => rm(path.join(folder, `temporal.db${suffix}`), { force: true })))
  }
  await start()
  const connection = await Connection.connect({ address })
  const client = new Client({ connection, namespace })
  return {
    address,
    namespace,
    connection,
    client,
    start,
    kill,
    skip: (workflowId, ms) => skipTime(client, workflowId, ms),
    stop: async () => {
      await connection.close()
      await kill()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function untilUp(address: string): Promise<void> {
  const limit = Date.now() + upLimit
  for (;;) {
    const up = await Connection.connect({ address, connectTimeout: 500 })
      .then(async (connection) => {
        await connection.workflowService.describeNamespace({ namespace }).finally(() => connection.close())
        return true
      })
      .catch(() => false)
    if (up) return
    if (Date.now() > limit) throw new Error('Temporal did not come up')
    await sleep(50)
  }
}

let skips = 0

/** Server-side time skipping; the client has no call of its own for it yet. */
export async function skipTime(client: Client, workflowId: string, ms: number): Promise<void> {
  skips += 1
  const fastForwardId = `skip-${skips}`
  const duration = { seconds: Math.floor(ms / 1_000), nanos: (ms % 1_000) * 1_000_000 }
  const workflowExecution = { workflowId }
  await client.workflowService.updateWorkflowExecutionOptions({
    namespace,
    workflowExecution,
    updateMask: { paths: ['time_skipping_config'] },
    workflowExecutionOptions: { timeSkippingConfig: { enabled: true, fastForwardConfig: { id: fastForwardId, duration } } },
  } as never)
  const poll = () => client.workflowService.pollWorkflowExecutionTimeSkipping({ namespace, workflowExecution, fastForwardId } as never)
  // A workflow that ends on the way has no clock left to poll.
  await client.withDeadline(Date.now() + 60_000, poll).catch(async (error: unknown) => {
    const { status } = await client.workflow.getHandle(workflowId).describe()
    if (status.name === 'RUNNING') throw error
  })
}

import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { Client, Connection, WithStartWorkflowOperation } from '@temporalio/client'
import { temporalNamespace } from '#stack/temporal.ts'
import type { Stack } from '#stack/test-stack.ts'
import { runLanes, type Run } from './figures.ts'
import { waitUntilClosed } from './workflow-close.ts'

export const bareTaskQueue = 'bench-bare'

/** What Temporal itself takes, in the same server, with a worker in a process of its own. */
export interface BareTemporal {
  readonly client: Client
  /** Update-with-start, from the call to the answer of the update. */
  updateWithStart(count: number, clients: number): Promise<Run>
  /** Start, signal, and the close that follows. */
  startSignalClose(count: number, clients: number): Promise<Run>
  close(): Promise<void>
}

export async function openBareTemporal({ urls }: Stack): Promise<BareTemporal> {
  const namespace = temporalNamespace
  const child = spawn(process.execPath, [fileURLToPath(new URL('bare-worker.ts', import.meta.url)), urls.temporal, namespace], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  await new Promise<void>((resolve, reject) => {
    child.once('message', () => resolve())
    child.once('exit', () => reject(new Error('the bare worker did not start')))
  })
  const connection = await Connection.connect({ address: urls.temporal })
  const client = new Client({ connection, namespace })
  const ids = (count: number) => Array.from({ length: count }, () => `bare:${randomUUID()}`)
  return {
    client,
    updateWithStart: (count, clients) =>
      runLanes(ids(count), clients, async (workflowId) => {
        const startWorkflowOperation = new WithStartWorkflowOperation('bare', { workflowId, taskQueue: bareTaskQueue, workflowIdConflictPolicy: 'FAIL' })
        await client.workflow.executeUpdateWithStart('ask', { startWorkflowOperation })
      }),
    startSignalClose: (count, clients) =>
      runLanes(ids(count), clients, async (workflowId) => {
        const handle = await client.workflow.start('bare', { workflowId, taskQueue: bareTaskQueue })
        await handle.signal('leave')
        await waitUntilClosed(client, workflowId)
      }),
    close: async () => {
      await connection.close()
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.disconnect()
      await ended
    },
  }
}

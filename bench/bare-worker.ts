import { fileURLToPath } from 'node:url'
import { bundleWorkflowCode, DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker'
import { bareTaskQueue } from './bare-temporal.ts'

/** `node bench/bare-worker.ts ADDRESS NAMESPACE`: the worker of the bare workflows, a process of its own like any worker. */
const [address = '', namespace = ''] = process.argv.slice(2)
Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] })
const connection = await NativeConnection.connect({ address })
const workflowBundle = await bundleWorkflowCode({
  workflowsPath: fileURLToPath(new URL('bare-workflows.ts', import.meta.url)),
  logger: new DefaultLogger('ERROR'),
})
const worker = await Worker.create({ connection, namespace, taskQueue: bareTaskQueue, workflowBundle, maxCachedWorkflows: 2_000 })
// It ends with the process that measures, however that ends.
process.on('disconnect', () => process.exit(0))
process.send?.('ready')
await worker.run()

import { tmpdir } from 'node:os'
import path from 'node:path'
import { workflowBundle } from '#server/workflow-bundle.ts'

/** The workflow code, bundled once in a test run. */
export const keptBundle = (): Promise<{ code: string }> => workflowBundle(path.join(tmpdir(), 'workflow-bundle'))

import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker'

const root = path.join(import.meta.dirname, '..')

/**
 * The workflow code as one script. Bundling takes seconds, so the result is kept on disk under the hash of everything
 * that goes into it.
 *
 * @param cacheDirectory undefined: nothing is kept
 */
export async function workflowBundle(cacheDirectory: string | undefined): Promise<{ code: string }> {
  if (cacheDirectory === undefined) return bundle()
  const file = path.join(cacheDirectory, `workflows-${await sourceHash()}.js`)
  const kept = await readFile(file, 'utf8').catch(() => undefined)
  if (kept !== undefined) return { code: kept }
  const { code } = await bundle()
  await mkdir(cacheDirectory, { recursive: true })
  // Renamed into place: another worker never reads half a bundle.
  const draft = `${file}.${process.pid}`
  await writeFile(draft, code)
  await rename(draft, file)
  return { code }
}

async function bundle(): Promise<{ code: string }> {
  const { code } = await bundleWorkflowCode({
    workflowsPath: path.join(root, 'workflows/index.ts'),
    failureConverterPath: path.join(root, 'secrets/failure-converter.ts'),
    logger: new DefaultLogger('WARN'),
  })
  return { code }
}

async function sourceHash(): Promise<string> {
  const hash = createHash('sha256')
  for (const folder of ['workflows', 'schemas', 'secrets']) {
    for (const name of (await readdir(path.join(root, folder), { recursive: true })).filter((entry) => entry.endsWith('.ts')).sort()) {
      hash.update(`${folder}/${name}\0`).update(await readFile(path.join(root, folder, name)))
    }
  }
  // The SDK that bundles is part of what runs.
  hash.update(await readFile(path.join(root, 'package-lock.json')))
  return hash.digest('hex').slice(0, 32)
}

// Entry of every script of this project: plain JavaScript that Node 20 can run. Installs the locked dependencies when they are
// missing, then runs a TypeScript entry under the Node 24 that a locked package carries. Prints nothing to stdout.
//
//     node stack/bootstrap.mjs ENTRY.ts [ARGUMENT...]
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import module from 'node:module'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
/** Node keeps compiled code here: the next command is there in half the time. */
const compiled = process.env.NODE_COMPILE_CACHE ?? path.join(root, 'node_modules/.cache/leasehold')

/** Compares what npm wrote down about the last installation with the lock; a package may lack only when it is optional. */
function installed() {
  const written = path.join(root, 'node_modules/.package-lock.json')
  if (!existsSync(written)) return false
  const present = JSON.parse(readFileSync(written, 'utf8')).packages
  const locked = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8')).packages
  return (
    Object.entries(locked).every(([place, wanted]) => {
      if (place === '') return true
      const found = present[place]
      return found === undefined
        ? wanted.optional === true || wanted.devOptional === true
        : found.version === wanted.version && found.integrity === wanted.integrity
    }) &&
    (bundledNode() !== undefined || runsTypeScript())
  )
}

function install() {
  process.stderr.write('installing the locked dependencies\n')
  const beside = path.join(path.dirname(process.execPath), '../lib/node_modules/npm/bin/npm-cli.js')
  const script = [process.env.npm_execpath, beside].find((file) => file?.endsWith('npm-cli.js') && existsSync(file))
  const [command, first] = script === undefined ? ['npm', []] : [process.execPath, [script]]
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', '--include=dev', '--include=optional']
  const { status, error } = spawnSync(command, [...first, ...args], { cwd: root, stdio: ['ignore', 2, 2] })
  if (status !== 0) {
    process.stderr.write(`npm ci failed${error === undefined ? '' : `: ${error.message}`}\n`)
    process.exit(1)
  }
}

function runsTypeScript() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  return major === 24 && minor >= 11
}

function bundledNode() {
  return ['node', 'node-bin'].map((name) => path.join(root, 'node_modules', `${name}-${process.platform}-${process.arch}`, 'bin/node')).find(existsSync)
}

/** @param entry TypeScript file, relative to the project @param args its arguments */
export async function run(entry, args) {
  if (!installed()) install()
  const file = path.join(root, entry)
  if (runsTypeScript()) {
    module.enableCompileCache(compiled)
    process.argv = [process.execPath, file, ...args]
    await import(pathToFileURL(file).href)
    return
  }
  const node = bundledNode()
  if (node === undefined) {
    process.stderr.write(`no Node 24 is packaged for ${process.platform} ${process.arch}: run this with Node >= 24.11\n`)
    process.exit(1)
  }
  // The channel ends with this process: a long-running entry sees that and stops, even when we are killed without a word.
  const child = spawn(node, [file, ...args], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, NODE_COMPILE_CACHE: compiled, LEASEHOLD_LIFELINE: '1', PATH: `${path.dirname(node)}${path.delimiter}${process.env.PATH ?? ''}` },
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  if (process.env.npm_lifecycle_event !== undefined) followParent(child)
  child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 143)))
}

/** A killed npm leaves us without a parent; nothing of ours outlives the command that somebody gave. */
function followParent(child) {
  const parent = process.ppid
  setInterval(() => {
    if (process.ppid !== parent) child.kill('SIGTERM')
  }, 500).unref()
}

if (path.resolve(process.argv[1] ?? '') === fileURLToPath(import.meta.url)) {
  const [entry, ...args] = process.argv.slice(2)
  await run(entry, args)
}

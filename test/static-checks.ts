import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import path from 'node:path'

/** What one look at the sources said. */
export interface CheckResult {
  readonly name: string
  readonly passed: boolean
  readonly output: string
}

interface Check {
  readonly name: string
  readonly args: readonly string[]
  /** Number of source files that the tool says it looked at; a tool that looked at none proves nothing. */
  readonly looked?: (output: string) => number
  /** Output without what only `looked` needs. */
  readonly shown?: (output: string) => string
}

export const projectRoot = path.dirname(import.meta.dirname)

const ignored = ['node_modules/**', '.leasehold/**']
const sources = (): number => globSync('**/*.ts', { cwd: projectRoot, exclude: ignored }).length
const isListed = (line: string): boolean => path.isAbsolute(line) && /\.[cm]?ts$/.test(line)

export const checks: readonly Check[] = [
  {
    name: 'typecheck',
    args: ['tsc', '--noEmit', '--listFiles', '--pretty', 'false'],
    looked: (output) => output.split('\n').filter((line) => isListed(line) && line.startsWith(projectRoot) && !line.includes('/node_modules/')).length,
    shown: (output) =>
      output
        .split('\n')
        .filter((line) => !isListed(line))
        .join('\n'),
  },
  { name: 'lint', args: ['oxlint', '.'], looked: filesFinished },
  { name: 'format', args: ['oxfmt', '--check', '.'], looked: filesFinished },
  { name: 'dead code', args: ['knip', '--no-progress'] },
]

function filesFinished(output: string): number {
  return Number(/\bon (\d+) files?\b/.exec(output)?.[1] ?? 0)
}

/** Types, lint with the table of layers, format and dead code, one after the other. */
export async function runChecks(report: (result: CheckResult) => void): Promise<CheckResult[]> {
  const results: CheckResult[] = []
  for (const check of checks) {
    const result = await runCheck(check, sources())
    report(result)
    results.push(result)
  }
  return results
}

/** @param expected how many files the tool has to look at, at least */
export async function runCheck(
  { name, args: [tool = '', ...args], looked, shown = (text) => text }: Check,
  expected: number,
  cwd = projectRoot,
): Promise<CheckResult> {
  const { status, output } = await run(path.join(projectRoot, 'node_modules/.bin', tool), args, cwd)
  if (status !== 0) return { name, passed: false, output: shown(output).trim() }
  const seen = looked?.(output) ?? expected
  if (seen >= expected && expected > 0) return { name, passed: true, output: '' }
  return { name, passed: false, output: `${tool} looked at ${seen} files, there are ${expected}: a check that skips files proves nothing` }
}

function run(command: string, args: readonly string[], cwd: string): Promise<{ status: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1' } })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (part: string) => (output += part))
    child.once('error', reject)
    child.once('close', (status) => resolve({ status, output }))
  })
}

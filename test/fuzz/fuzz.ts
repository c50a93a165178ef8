import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { readJson } from '#stack/home.ts'
import { accessToken } from '#stack/login.ts'
import type { Stack } from '#stack/test-stack.ts'
import type { Schemathesis } from './schemathesis.ts'

export const phases = ['examples', 'coverage', 'fuzzing', 'stateful'] as const
export type Phase = (typeof phases)[number]

export interface Fuzzing {
  readonly phases: readonly Phase[]
  readonly seed: number
  /** Who asks; absent: the owner `mia`. */
  readonly user?: string
  /** Cases per operation; in the stateful phase, scenarios. */
  readonly maxExamples: number
  /** Fuzzing and stateful phases repeat until it is spent; absent: one round. */
  readonly seconds?: number | undefined
}

/** What a run came to, as schemathesis reports it. */
export interface Report {
  readonly running_time: number
  readonly operations: { readonly tested: number }
  readonly phases: Readonly<Record<Phase, { readonly status: string }>>
  readonly test_cases: { readonly generated: number; readonly errored: number }
  readonly failures: readonly unknown[]
  readonly errors: readonly unknown[]
}

/** A token lives 15 minutes: every run gets one of its own and must be through before it ends. */
const longest = 14 * 60_000

/**
 * Runs phases of schemathesis against the API of a stack.
 *
 * @returns its report and its words; the token is in neither
 */
export async function fuzz(
  stack: Stack,
  { command, args, env }: Schemathesis,
  { phases: wanted, seed, user = 'mia', maxExamples, seconds }: Fuzzing,
): Promise<{ report: Report; output: string }> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'leasehold-fuzz-'))
  const file = path.join(folder, 'report.json')
  const config = path.join(import.meta.dirname, 'schemathesis.toml')
  const token = await accessToken({ home: stack.home, user, acr: 'mfa' })
  const options = [
    '--phases',
    wanted.join(','),
    '--seed',
    String(seed),
    '--max-examples',
    String(maxExamples),
    ...(seconds === undefined ? [] : ['--max-time', String(seconds)]),
  ]
  const child = spawn(
    command,
    [...args, '--config-file', config, 'run', `${stack.urls.api}/v1/openapi.json`, '--no-color', ...options, '--report-json-path', file],
    {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'] ?? '', HOME: folder, PYTHONUTF8: '1', ...env, LEASEHOLD_FUZZ_URL: stack.urls.api, LEASEHOLD_FUZZ_TOKEN: token },
    },
  )
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (part: string) => (output += part))
  const stop = (): boolean => child.kill('SIGKILL')
  process.once('exit', stop)
  const limit = setTimeout(stop, longest)
  try {
    await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve))
    return { report: readReport(file, output), output }
  } finally {
    clearTimeout(limit)
    process.off('exit', stop)
    rmSync(folder, { recursive: true, force: true })
  }
}

function readReport(file: string, output: string): Report {
  try {
    return readJson<Report>(file)
  } catch {
    throw new Error(`schemathesis left no report:\n${output.slice(-4_000)}`)
  }
}

/** What speaks against the API, or against the run; empty: nothing. A run that asked nothing proves nothing. */
export function faultsOf({ report }: { readonly report: Report }, wanted: readonly Phase[]): string[] {
  const { failures, errors, test_cases: cases } = report
  const broken = wanted.filter((phase) => report.phases[phase].status !== 'success')
  return [
    ...(failures.length > 0 ? [`${failures.length} failures`] : []),
    ...(errors.length + cases.errored > 0 ? [`${errors.length} errors of the run`] : []),
    ...(failures.length === 0 && broken.length > 0 ? [`not run to its end: ${broken.join(', ')}`] : []),
    ...(cases.generated === 0 ? ['no case was tried'] : []),
    ...(report.operations.tested === 0 ? ['no operation was tried'] : []),
  ]
}

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

const requirements = path.join(import.meta.dirname, 'requirements.txt')

export interface Schemathesis {
  readonly command: 'python3'
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

/**
 * Schemathesis with its hash-locked packages, in a folder of its own in the user's cache: nothing is installed for anybody else.
 *
 * @returns a reason, in words, when it cannot be had here
 */
export function findSchemathesis(): Schemathesis | string {
  const python = ask('-c', 'import sys, sysconfig; print(sys.version_info >= (3, 11), sysconfig.get_platform(), sys.implementation.cache_tag)')
  if (python.status !== 0) return 'there is no python3'
  if (!python.stdout.startsWith('True')) return 'schemathesis needs Python 3.11 or newer'
  const digest = createHash('sha256').update(readFileSync(requirements)).update(python.stdout).digest('hex').slice(0, 16)
  const cache = path.join(process.env['XDG_CACHE_HOME'] ?? path.join(os.homedir(), '.cache'), 'leasehold')
  const folder = path.join(cache, `schemathesis-${digest}`)
  if (!existsSync(folder)) {
    const fault = install(cache, folder)
    if (fault !== undefined) return fault
  }
  return { command: 'python3', args: ['-s', '-m', 'schemathesis.cli'], env: { PYTHONPATH: folder, PYTHONDONTWRITEBYTECODE: '1' } }
}

function install(cache: string, folder: string): string | undefined {
  mkdirSync(cache, { recursive: true })
  const work = mkdtempSync(path.join(cache, '.schemathesis-'))
  const options = ['--quiet', '--no-deps', '--require-hashes', '--only-binary=:all:', '--disable-pip-version-check']
  const { status, stderr } = ask('-m', 'pip', 'install', ...options, '--target', work, '--requirement', requirements)
  if (status === 0 && !existsSync(folder)) renameSync(work, folder)
  else rmSync(work, { recursive: true, force: true })
  return status === 0 ? undefined : `python3 -m pip cannot install schemathesis: ${stderr.trim().split('\n').at(-1) ?? 'it gives no reason'}`
}

function ask(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync('python3', args, { encoding: 'utf8', timeout: 180_000 })
  return { status, stdout: stdout ?? '', stderr: stderr ?? '' }
}

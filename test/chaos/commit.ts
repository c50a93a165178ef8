import { spawnSync } from 'node:child_process'
import path from 'node:path'

/** A seed that every commit has another one of; LEASEHOLD_SEED repeats a run. Outside a repository: 1. */
export function seedOfCommit(): number {
  const given = process.env['LEASEHOLD_SEED']
  if (given !== undefined) return Number(given)
  const { status, stdout } = spawnSync('git', ['rev-parse', 'HEAD'], { cwd: path.join(import.meta.dirname, '../..'), encoding: 'utf8' })
  return status === 0 ? Number.parseInt(stdout.slice(0, 8), 16) : 1
}

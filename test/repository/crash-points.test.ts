import { spawnSync } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { killCases } from '../chaos/kill-cases.ts'

const root = path.join(import.meta.dirname, '../..')
const product = ['activities', 'api', 'connector', 'connector-bridge', 'server', 'store', 'workflows'].map((folder) => `${folder}/**/*.ts`)
const sources = globSync(product, { cwd: root }).map((file) => readFileSync(path.join(root, file), 'utf8'))

test('every crash point has one place, and every one that a case names is there', () => {
  const points = sources.flatMap((text) => [...text.matchAll(/^ *\/\/ crash point: (.+)$/gm)].map(([, name]) => name as string))
  expect(points.length).toBeGreaterThan(12)
  expect(new Set(points).size).toBe(points.length)
  const used = killCases(0).flatMap(({ name }) => / dies at: (.+)$/.exec(name)?.slice(1) ?? [])
  expect(used.length).toBeGreaterThan(10)
  expect(used.filter((name) => !points.includes(name))).toEqual([])
})

test('is a comment, and nothing else, unless the loader of tests is there and the point is the one that is armed', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'leasehold-crash-'))
  const file = path.join(folder, 'program.ts')
  writeFileSync(file, `const passed: number = 1\n// crash point: here\nconsole.log('alive', passed)\n// crash point: there\nconsole.log('still alive')\n`)
  const run = (args: string[], point: string) => {
    const { stdout, signal } = spawnSync(process.execPath, [...args, file], { encoding: 'utf8', env: { ...process.env, LEASEHOLD_CRASH_POINT: point } })
    return [stdout.split('\n').filter((line) => line !== ''), signal]
  }
  const loader = ['--import', path.join(root, 'stack/crash-loader.mjs')]
  expect(run([], 'here:1')).toEqual([['alive 1', 'still alive'], null])
  expect(run(loader, 'here:1')).toEqual([[], 'SIGKILL'])
  expect(run(loader, 'there:1')).toEqual([['alive 1'], 'SIGKILL'])
  expect(run(loader, 'here:2')).toEqual([['alive 1', 'still alive'], null])
  expect(run(loader, 'nowhere:1')).toEqual([['alive 1', 'still alive'], null])
  rmSync(folder, { recursive: true })
})

test('no code of ours knows how to arm one', () => {
  expect(sources.filter((text) => /LEASEHOLD_CRASH_POINT|passCrashPoint/.test(text))).toEqual([])
})

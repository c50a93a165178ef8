import { spawnSync } from 'node:child_process'
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { rotationCases } from '../chaos/cells.ts'
import { brokenBuild, faults } from '../chaos/broken-build.ts'
import { pointsOf } from '../chaos/points.ts'

const root = path.join(import.meta.dirname, '../..')
const product = ['activities', 'api', 'connector', 'connector-bridge', 'server', 'store', 'workflows'].map((folder) => `${folder}/**/*.ts`)
const sources = globSync(product, { cwd: root }).map((file) => readFileSync(path.join(root, file), 'utf8'))

test('every crash point has one place, and every one that a case names is there', () => {
  const points = sources.flatMap((text) => [...text.matchAll(/^ *\/\/ crash point: (.+)$/gm)].map(([, name]) => name as string))
  expect(points.length).toBeGreaterThan(12)
  expect(new Set(points).size).toBe(points.length)
  const used = Object.values(pointsOf).flat()
  expect(used.length).toBeGreaterThan(10)
  expect(used.filter((name) => !points.includes(name))).toEqual([])
})

test('the manual says of each of the 23 dangers where it is met, or why it does not exist', () => {
  const manual = readFileSync(path.join(root, 'docs/chaos.md'), 'utf8')
  const rows = [...manual.matchAll(/^\| K(\d+) .+ \| (.+) \|$/gm)]
  expect(rows.map(([, number]) => Number(number))).toEqual(Array.from({ length: 23 }, (_, index) => index + 1))
  const known = [...Object.values(pointsOf).flat(), 'several hosts', ...rotationCases.map(({ name }) => name)]
  for (const [row, , where = ''] of rows) {
    const named = [...where.matchAll(/`(.+?)`/g)].map(([, words]) => words as string)
    const isThere = (words: string) => known.some((name) => name.includes(words)) || existsSync(path.join(root, 'test', words))
    expect(named.filter((words) => !isThere(words))).toEqual([])
    if (named.length === 0) expect(row).toMatch(/does not exist: |outside: |every point with OpenBao away/)
  }
})

test.each(Object.keys(faults))('the sources have what %s replaces, and a cell that is there catches it', (fault) => {
  const { caughtBy, remove } = brokenBuild(fault)
  remove()
  expect(rotationCases.some(({ name }) => name.includes(caughtBy))).toBe(true)
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

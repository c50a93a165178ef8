import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { projectRoot } from '../static-checks.ts'

/** One planted violation per folder and kind of refusal: file, and what it imports. */
const refused: readonly (readonly [folder: string, from: string])[] = [
  ['schemas', '#store/connection.ts'],
  ['schemas', 'pg'],
  ['schemas/rules', '#schemas/lease.ts'],
  ['schemas/rules', 'zod'],
  ['workflows', '#store/connection.ts'],
  ['workflows', 'node:fs'],
  ['store', '#secrets/openbao.ts'],
  ['secrets', '#api/app.ts'],
  ['policy', '#workflows/lease.ts'],
  ['activities', '#workflows/lease.ts'],
  ['api', '#activities/lease.ts'],
  ['api', '#workflows/lease.ts'],
  ['connector-bridge', '#connector/journal.ts'],
  ['connector', '#store/connection.ts'],
  ['cli', '#server/config.ts'],
  ['server', '#stack/home.ts'],
  ['server', '#bench/figures.ts'],
  ['api', '../store/connection.ts'],
  ['schemas', '../store/connection.ts'],
  ['workflows', 'pg'],
]
const allowed: readonly (readonly [folder: string, from: string])[] = [
  ['store', '#schemas/errors.ts'],
  ['api', '#store/connection.ts'],
  ['activities', '#workflows/messages.ts'],
  ['connector', '#schemas/errors.ts'],
  ['server', '#workflows/messages.ts'],
  ['workflows', '@temporalio/workflow'],
  ['bench', '#store/connection.ts'],
  ['bench', '#stack/test-stack.ts'],
]

let folder: string
let output: string
const fileOf = (kind: string, index: number, place: string) => `${place}/planted-${kind}-${index}.ts`
const plant = (kind: string, imports: typeof refused) =>
  imports.forEach(([place, from], index) => {
    mkdirSync(path.join(folder, place), { recursive: true })
    writeFileSync(path.join(folder, fileOf(kind, index, place)), `import { thing } from '${from}'\n\nexport const used = thing\n`)
  })

beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'leasehold-lint-'))
  copyFileSync(path.join(projectRoot, 'oxlint.config.ts'), path.join(folder, 'oxlint.config.ts'))
  copyFileSync(path.join(projectRoot, 'package.json'), path.join(folder, 'package.json'))
  symlinkSync(path.join(projectRoot, 'node_modules'), path.join(folder, 'node_modules'))
  plant('refused', refused)
  plant('allowed', allowed)
  try {
    output = execFileSync(path.join(folder, 'node_modules/.bin/oxlint'), ['.', '--format', 'unix'], { cwd: folder, encoding: 'utf8' })
  } catch (error) {
    output = (error as { stdout: string }).stdout
  }
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const complaints = (file: string) => output.split('\n').filter((line) => line.includes(file) && line.includes('no-restricted-imports'))

describe('the table of folders bites', () => {
  test.each(refused.map(([place, from], index) => [place, from, fileOf('refused', index, place)] as const))('%s may not import %s', (_place, _from, file) => {
    expect(complaints(file)).not.toEqual([])
  })
  test.each(allowed.map(([place, from], index) => [place, from, fileOf('allowed', index, place)] as const))('%s may import %s', (_place, _from, file) => {
    expect(complaints(file)).toEqual([])
  })
})

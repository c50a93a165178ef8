import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { Environment } from '#server/environment.ts'
import { InstallEnvironment } from '#server/install-environment.ts'

const root = path.join(import.meta.dirname, '../..')

/** Rows of a section's table of variables: name, default. */
function documented(section: string): Map<string, string> {
  const manual = readFileSync(path.join(root, 'docs/configuration.md'), 'utf8')
  const text = manual.split(/^## /m).find((part) => part.startsWith(`${section}\n`)) ?? ''
  const rows = text.split('\n').flatMap((line) => /^\| `(\w+)` \| .+ \| (.+) \| .+ \|$/.exec(line)?.slice(1, 3) ?? [])
  return new Map(Array.from({ length: rows.length / 2 }, (_, index) => [rows[2 * index] as string, rows[2 * index + 1] as string]))
}

/** What the schema makes of an absent variable, as the table writes it. */
function defaultOf(name: string): string {
  const absent = Environment.shape[name as keyof typeof Environment.shape].safeParse(undefined)
  if (!absent.success) return 'required'
  return absent.data === undefined ? '`-`' : absent.data === '' ? 'empty' : `\`${absent.data}\``
}

test('the manual lists every variable that a role reads, and no other', () => {
  expect([...documented('Variables').keys()].sort()).toEqual(Object.keys(Environment.shape).sort())
})

test('the manual names the default of each', () => {
  const told = documented('Variables')
  // Defaults that follow from another variable.
  const derived = {
    LEASEHOLD_OIDC_URL: 'the issuer',
    LEASEHOLD_AUDIENCE_FALLBACK: 'dev: `true`; production: `false`',
    LEASEHOLD_DPOP_NONCE: 'dev: `optional`; production: `required`',
    LEASEHOLD_RATE_PER_SECOND: 'dev: `2000`; production: `50`',
    LEASEHOLD_RATE_BURST: 'dev: `4000`; production: `100`',
    LEASEHOLD_FAILURES_PER_MINUTE: 'dev: `1000`; production: `20`',
  }
  for (const [name, words] of Object.entries(derived)) told.set(name, told.get(name) === words ? '`-`' : 'something else')
  expect(Object.fromEntries(told)).toEqual(Object.fromEntries(Object.keys(Environment.shape).map((name) => [name, defaultOf(name)])))
})

test('the manual lists every variable that the installation reads, all of them required', () => {
  expect(Object.fromEntries(documented('Installation'))).toEqual(Object.fromEntries(Object.keys(InstallEnvironment.shape).map((name) => [name, 'required'])))
  expect(Object.values(InstallEnvironment.shape).filter((schema) => schema.safeParse(undefined).success)).toEqual([])
})

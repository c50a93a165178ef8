import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Command } from 'commander'
import { mostLegacyRows, type LegacyImportAnswer, type LegacyState } from '#schemas/legacy-import.ts'
import { callApi, withApi, type ApiOptions } from '../api.ts'

interface ImportOptions extends ApiOptions {
  readonly organization: string
  readonly open?: true
  readonly close?: true
}

/** Most characters of one request; the API takes 256 KiB. */
const mostCharacters = 200_000

/** `leasehold import legacy`: identities with values from before vault keys. Needs organizations.manage. */
export function addImport(program: Command): void {
  const group = program.command('import').description('take over what another system stored')

  withApi(group.command('legacy').description('import identities whose values are plaintext (version 0) or under the old key of the organization (version 1)'))
    .argument('[file]', 'JSON lines, one identity each, as POST /v1/organizations/{id}/legacy-import takes them; - or absent: standard input')
    .requiredOption('--organization <id>', 'where they belong')
    .option('--open', 'first open the organization for such rows')
    .option('--close', 'afterwards refuse such rows for good; what nobody has read by then is lost')
    .action(async (file: string | undefined, { organization, open, close, ...options }: ImportOptions) => {
      const path = `/v1/organizations/${encodeURIComponent(organization)}/legacy-import`
      if (open) await callApi<LegacyState>(options, 'POST', `${path}/open`, { body: {} })
      let imported = 0
      for await (const rows of batches(file)) {
        const sent = { body: { rows }, idempotencyKey: keyOf(organization, rows) }
        const { identities } = await callApi<LegacyImportAnswer>(options, 'POST', path, sent).catch((error: unknown) => {
          throw new Error(`${imported} imported; then, counted from 0 after those: ${error instanceof Error ? error.message : 'failed'}`, { cause: error })
        })
        imported += identities.length
      }
      const { state, remaining } = await callApi<LegacyState>(options, close ? 'POST' : 'GET', close ? `${path}/close` : path, close && { body: {} })
      process.stdout.write(`${imported} imported; ${remaining.version0} of version 0 and ${remaining.version1} of version 1 not read since; ${state}\n`)
    })
}

type Row = Readonly<Record<string, unknown>>

async function* batches(file = '-'): AsyncGenerator<readonly Row[]> {
  let rows: Row[] = []
  let characters = 0
  for await (const line of createInterface({ input: file === '-' ? process.stdin : createReadStream(file) })) {
    if (line.trim() === '') continue
    if (rows.length === mostLegacyRows || (rows.length > 0 && characters + line.length > mostCharacters)) {
      yield rows
      rows = []
      characters = 0
    }
    rows.push(parse(line))
    characters += line.length
  }
  if (rows.length > 0) yield rows
}

function parse(line: string): Row {
  try {
    return JSON.parse(line) as Row
  } catch {
    // The reason would quote the line, which holds a secret.
    throw new Error('a line of the file is not JSON')
  }
}

/** The same rows again are the same request. Values are left out: the key is stored, and a hash of a password could be guessed at. */
const keyOf = (organization: string, rows: readonly Row[]): string =>
  createHash('sha256')
    .update(JSON.stringify([organization, rows.map(({ identityGroupId, name }) => [identityGroupId, name])]))
    .digest('base64url')

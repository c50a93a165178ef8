import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { homePath, readHome, readJson } from '#stack/home.ts'
import { accessToken } from '#stack/login.ts'

/** Where the API is and as whom; the token is never an argument, which other users of the machine could read. */
export interface ApiOptions {
  readonly api?: string
  readonly tokenFile?: string
  readonly as?: string
}

export const withApi = (command: Command): Command =>
  command
    .option('--api <url>', 'base URL of the API; absent: LEASEHOLD_API_URL, or the stack of this machine')
    .option('--token-file <file>', 'file with an access token; absent: LEASEHOLD_TOKEN')
    .option('--as <user>', 'log in as a seeded user of the stack of this machine')

/** What a POST sends besides. */
export interface Sent {
  readonly body: unknown
  readonly idempotencyKey?: string
}

/** @throws Error with the detail, faults and hint of the problem when the API refuses */
export async function callApi<T>(options: ApiOptions, method: 'GET' | 'POST', path: string, sent?: Sent): Promise<T> {
  const base = (options.api ?? process.env['LEASEHOLD_API_URL'] ?? localApi()).replace(/\/$/, '')
  const response = await fetch(base + path, {
    method,
    redirect: 'error',
    headers: {
      authorization: `Bearer ${await tokenOf(options)}`,
      ...(sent === undefined ? {} : { 'content-type': 'application/json' }),
      ...(sent?.idempotencyKey === undefined ? {} : { 'idempotency-key': sent.idempotencyKey }),
    },
    ...(sent === undefined ? {} : { body: JSON.stringify(sent.body) }),
  })
  const body = (await response.json()) as T & Problem
  if (response.ok) return body
  const faults = (body.errors ?? []).map(({ path: field, message }) => ` ${field} ${message}.`).join('')
  throw new Error(`${response.status} ${body.detail ?? body.title ?? ''}.${faults} ${body.hint ?? ''}`.trimEnd())
}

interface Problem {
  readonly title?: string
  readonly detail?: string
  readonly hint?: string
  readonly errors?: readonly { readonly path: string; readonly message: string }[]
}

function localApi(): string {
  const home = readHome(homePath())
  if (home === undefined) throw new Error('say where the API is: --api or LEASEHOLD_API_URL')
  return readJson<{ urls: { api: string } }>(home.file('state.json')).urls.api
}

async function tokenOf({ as, tokenFile }: ApiOptions): Promise<string> {
  if (as !== undefined) return accessToken({ home: homePath(), user: as, acr: 'mfa' })
  const token = tokenFile === undefined ? process.env['LEASEHOLD_TOKEN'] : await readFile(tokenFile, 'utf8')
  if (token === undefined) throw new Error('say as whom: --as, --token-file or LEASEHOLD_TOKEN')
  return token.trim()
}

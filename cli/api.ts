import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { homePath } from '#stack/home.ts'
import { accessToken } from '#stack/login.ts'
import { boundRequest, type ApiRequest } from './bound-request.ts'
import { apiPlace } from './places.ts'
import { ownKey, storedLogin } from './stored-login.ts'

/** Where the API is and as whom; the token is never an argument, which other users of the machine could read. */
export interface ApiOptions {
  readonly api?: string
  readonly tokenFile?: string
  readonly as?: string
}

interface Problem {
  readonly title?: string
  readonly detail?: string
  readonly errors?: readonly { readonly path: string; readonly message: string }[]
  readonly hint?: string
  readonly code?: string
  readonly acrValues?: string
  readonly maxAgeSeconds?: number
}

/** Sends one request as somebody. */
interface Caller {
  readonly api: string
  readonly send: (request: ApiRequest) => Promise<Response>
}

export const withApi = (command: Command): Command =>
  command
    .option('--api <url>', 'base URL of the API; absent: LEASEHOLD_API_URL, or what the login was made for')
    .option('--token-file <file>', 'file with an access token; absent: LEASEHOLD_TOKEN, or the login of `leasehold login`')
    .option('--as <user>', 'log in as a seeded user of the stack of this machine')

/** What a POST sends besides. */
export interface Sent {
  readonly body: unknown
  readonly idempotencyKey?: string
  /** The version that it is meant for. */
  readonly ifMatch?: string
}

/** @throws Error with the detail, faults and hint of the problem when the API refuses, and with what to run when a stronger login is needed */
export async function callApi<T>(options: ApiOptions, method: 'GET' | 'POST' | 'PUT', path: string, sent?: Sent): Promise<T> {
  const { api, send } = await callerOf(options)
  const response = await send({ method, url: new URL(api + path), ...(sent === undefined ? {} : contentOf(sent)) })
  const body = (await response.json().catch(() => ({}))) as T & Problem
  if (!response.ok) throw new Error(refusal(response.status, body))
  return body
}

/**
 * Follows a stream of server-sent events (HTML Living Standard 9.2) to its end.
 *
 * @returns the data of each event
 * @throws Error as callApi
 */
export async function* followEvents<T>(options: ApiOptions, path: string): AsyncGenerator<T> {
  const { api, send } = await callerOf(options)
  const response = await send({ method: 'GET', url: new URL(api + path), headers: new Headers({ accept: 'text/event-stream' }) })
  if (!response.ok) throw new Error(refusal(response.status, (await response.json().catch(() => ({}))) as Problem))
  const decoder = new TextDecoder()
  let text = ''
  for await (const bytes of response.body ?? []) {
    const events = (text + decoder.decode(bytes, { stream: true })).split('\n\n')
    text = events.pop() ?? ''
    for (const event of events) {
      const data = event.split('\n').filter((line) => line.startsWith('data: '))
      if (data.length > 0) yield JSON.parse(data.map((line) => line.slice('data: '.length)).join('\n')) as T
    }
  }
}

/** Every item of a collection, page by page. */
export async function readAll<T>(options: ApiOptions, path: string, filter: Readonly<Record<string, string | undefined>>): Promise<T[]> {
  const items: T[] = []
  const given = Object.entries(filter).filter((entry): entry is [string, string] => entry[1] !== undefined)
  let cursor: string | undefined
  do {
    const query = new URLSearchParams([['limit', '200'], ...given, ...(cursor === undefined ? [] : [['cursor', cursor]])])
    const page = await callApi<{ items: T[]; nextCursor?: string }>(options, 'GET', `${path}?${query}`)
    items.push(...page.items)
    cursor = page.nextCursor
  } while (cursor !== undefined)
  return items
}

function contentOf({ body, idempotencyKey, ifMatch }: Sent): Pick<ApiRequest, 'headers' | 'body'> {
  const headers = new Headers({
    'content-type': 'application/json',
    ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
    ...(ifMatch === undefined ? {} : { 'if-match': ifMatch }),
  })
  return { headers, body: JSON.stringify(body) }
}

/** What a person can do about it (RFC 9470: the same call works after the login that the API asks for). */
export function refusal(status: number, { title = '', detail = title, hint = '', errors = [], code, acrValues, maxAgeSeconds }: Problem): string {
  const faults = errors.map(({ path, message }) => ` ${path} ${message}.`).join('')
  if (code !== 'insufficient-user-authentication') return `${status} ${detail}.${faults} ${hint}`.trimEnd()
  const flags = [...(acrValues === undefined ? [] : [`--acr ${acrValues}`]), ...(maxAgeSeconds === undefined ? [] : [`--max-age ${maxAgeSeconds}`])]
  return `${status} ${title}. Run: ${['leasehold login', ...flags].join(' ')}`
}

async function callerOf(options: ApiOptions): Promise<Caller> {
  const token = await givenToken(options)
  if (token !== undefined) {
    return { api: apiPlace(options.api), send: (request) => bearerRequest(token, request) }
  }
  const login = storedLogin()
  if (login === undefined) throw new Error('log in first: leasehold login (or say as whom: --as, --token-file, LEASEHOLD_TOKEN)')
  const told = options.api ?? process.env['LEASEHOLD_API_URL']
  if (told !== undefined && apiPlace(told) !== login.api) throw new Error(`your login is for ${login.api}; run: leasehold login --api ${told}`)
  const bound = { accessToken: login.accessToken, dpopKey: await ownKey() }
  return { api: login.api, send: (request) => boundRequest(bound, request) }
}

function bearerRequest(token: string, { method, url, headers = new Headers(), body }: ApiRequest): Promise<Response> {
  headers.set('authorization', `Bearer ${token}`)
  return fetch(url, { method, redirect: 'error', headers, ...(body === undefined ? {} : { body }) })
}

async function givenToken({ as, tokenFile }: ApiOptions): Promise<string | undefined> {
  if (as !== undefined) return accessToken({ home: homePath(), user: as, acr: 'mfa' })
  const token = tokenFile === undefined ? process.env['LEASEHOLD_TOKEN'] : await readFile(tokenFile, 'utf8')
  return token?.trim()
}

import { z } from 'zod'
import { text } from './text.ts'

/**
 * How a key or password of an HTTP API is set, proven and taken away: requests with gaps, at one host. A secret never stands in a
 * URL, which proxies and servers write down, and nothing that fills a gap can become more than one value.
 */

/** `as` is who changes the value: the admin identity of the host, or the account itself with the value that it has. */
export const gaps = ['username', 'value', 'keyId', 'basic', 'as.username', 'as.value', 'as.basic'] as const
export type Gap = (typeof gaps)[number]

const inPaths: readonly Gap[] = ['username', 'keyId']
const tellsValue: readonly Gap[] = ['value', 'basic']
const tellsWhoAsks: readonly Gap[] = ['as.value', 'as.basic']
const isOfWhoAsks = (name: string): boolean => name.startsWith('as.')

/** Names of the gaps in a text. */
export const gapsOf = (template: string): string[] => [...template.matchAll(/\{([^{}]*)\}/g)].map(([, name = '']) => name)
const withoutGaps = (template: string): string => template.replaceAll(/\{[^{}]*\}/g, 'x')
const isGap = (name: string): name is Gap => (gaps as readonly string[]).includes(name)

/** What is said with gaps; every brace belongs to one. */
const template = (longest: number) =>
  text(1, longest).refine((value) => gapsOf(value).every(isGap) && !/[{}]/.test(withoutGaps(value)), {
    error: `must have braces only around ${gaps.join(', ')}`,
  })

const path = template(1_000)
  .refine((value) => gapsOf(value).every((name) => (inPaths as readonly string[]).includes(name)), {
    error: 'must not hold anything but {username} and {keyId}: a URL is no place for a secret',
  })
  .refine((value) => /^\/(?!\/)(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*$/.test(withoutGaps(value)), {
    error: 'must begin with one slash and be a path and query as a URL has them',
  })
  .refine((value) => !/(^|\/)(\.|%2e){1,2}(\/|\?|$)/i.test(value), { error: 'must not lead upwards' })

/** Those that say where a request goes, or where it ends, are the connector's own. */
const ownHeaders = new Set(['host', 'connection', 'content-length', 'content-type', 'transfer-encoding', 'te', 'trailer', 'upgrade', 'expect', 'keep-alive'])
const headerName = z
  .string()
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/)
  .refine((name) => !ownHeaders.has(name.toLowerCase()) && !/^proxy-/i.test(name), { error: 'must be a header that the connector does not set itself' })
const headerValue = template(1_000).refine((value) => /^[\x21-\x7e]+( +[\x21-\x7e]+)*$/.test(value), { error: 'must be printable ASCII' })

const call = {
  method: z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']),
  path,
  headers: z
    .record(headerName, headerValue)
    .refine((headers) => new Set(Object.keys(headers).map((name) => name.toLowerCase())).size === Object.keys(headers).length, {
      error: 'must name each header once',
    })
    .optional(),
  json: z
    .record(z.string(), z.json())
    .refine((body) => JSON.stringify(body).length <= 8_000, { error: 'must be at most 8000 characters long' })
    .refine((body) => stringsOf(body).every((value) => template(8_000).safeParse(value).success), { error: `must have braces only around ${gaps.join(', ')}` })
    .optional()
    .meta({ description: 'Body as JSON; gaps are filled inside of its strings' }),
  form: z.record(z.string().min(1).max(200), template(1_000)).optional().meta({ description: 'Body as application/x-www-form-urlencoded' }),
} as const

const statuses = (allowed: (status: number) => boolean, error: string) => z.array(z.number().int().refine(allowed, { error })).min(1).max(10).optional()
const isSuccess = (status: number): boolean => status >= 200 && status <= 299
const isRefusal = (status: number): boolean => status >= 400 && status <= 499

const changing = z.strictObject({
  ...call,
  done: statuses((status) => isSuccess(status) || [404, 409, 410].includes(status), 'must be 2xx, 404, 409 or 410').meta({
    description: 'Statuses after which it is as it should be; default: 200, 201, 204',
  }),
  policyRefused: statuses(isRefusal, 'must be 4xx').meta({ description: 'Statuses by which the target refuses this very value, but may take another one' }),
})
const proving = z.strictObject({
  ...call,
  accepted: statuses(isSuccess, 'must be 2xx').meta({ description: 'Statuses that only a right value gets; default: 200, 204' }),
  rejected: statuses(isRefusal, 'must be 4xx').meta({ description: 'Statuses that only a wrong value gets; default: 401' }),
})
export type ChangingCall = z.infer<typeof changing>
export type Call = Pick<ChangingCall, keyof typeof call>

export const HttpCalls = z
  .strictObject({
    set: changing.meta({ description: 'Makes the target take a new value' }),
    verify: proving.meta({ description: 'Asks for something that only whoever has the value gets' }),
    revoke: changing.optional().meta({ description: 'Takes one value away. With it a target has two for a moment: the new one is added and proven first' }),
  })
  .superRefine((calls, context) => {
    for (const { path: at, message } of faultsOf(calls)) context.addIssue({ code: 'custom', path: at, message })
  })
  .meta({ description: 'http: requests by which a value is set, proven and taken away' })
export type HttpCalls = z.infer<typeof HttpCalls>

interface Fault {
  readonly path: string[]
  readonly message: string
}

/** What is wrong with well-formed calls taken together. */
function faultsOf(calls: { readonly set: ChangingCall; readonly verify: z.infer<typeof proving>; readonly revoke?: ChangingCall | undefined }): Fault[] {
  const faults: Fault[] = []
  for (const [name, one] of Object.entries(calls)) {
    if (one === undefined) continue
    const held = gapsIn(one)
    const needs = (wanted: readonly Gap[], message: string) => void (wanted.some((gap) => held.has(gap)) || faults.push({ path: [name], message }))
    // What a body says may be kept where others read it; who asks is said where servers look for it.
    if ([...gapsIn({ path: '', json: one.json, form: one.form })].some(isOfWhoAsks)) {
      faults.push({ path: [name], message: 'must say who asks in headers alone' })
    }
    if (one.json !== undefined && one.form !== undefined) faults.push({ path: [name, 'form'], message: 'must be absent beside json' })
    if (one.method === 'GET' && (one.json ?? one.form) !== undefined) faults.push({ path: [name, 'method'], message: 'must be one that takes a body' })
    needs(
      name === 'revoke' ? [...tellsValue, 'keyId'] : tellsValue,
      `must say the value: ${name === 'revoke' ? '{value}, {basic} or {keyId}' : '{value} or {basic}'}`,
    )
    if (name !== 'verify') needs(tellsWhoAsks, 'must say who asks for it: {as.value} or {as.basic}')
    else if ([...held].some(isOfWhoAsks)) faults.push({ path: [name], message: 'must be asked by the account alone, without {as.…}' })
    if ('done' in one && one.done?.some((status) => one.policyRefused?.includes(status))) {
      faults.push({ path: [name, 'policyRefused'], message: 'must not be one of done' })
    }
  }
  return faults
}

const gapsIn = ({ path: where, headers = {}, json = {}, form = {} }: Omit<Call, 'method'>): Set<string> =>
  new Set([where, ...Object.values(headers), ...stringsOf(json), ...Object.values(form)].flatMap(gapsOf))

function stringsOf(value: unknown): string[] {
  if (typeof value === 'string') return value === '' ? [] : [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(stringsOf) : []
}

/** Servers and those in front of them take some characters for a way through the tree even when they are escaped. */
export const isPathPiece = (piece: string): boolean => !/[/\\%;]|^\.{1,2}$/.test(piece)
/** Blanks around a header's value are not part of it (RFC 9110 5.5). */
export const isHeaderLine = (line: string): boolean => /^[\x20-\x7e]+$/.test(line) && line.trim() === line

/** Whether a username stays what it is wherever the calls put it. */
export function namesAreTaken(calls: HttpCalls | undefined, username: string): boolean {
  return Object.values(calls ?? {}).every(
    (one) =>
      one === undefined ||
      ((isPathPiece(username) || !gapsOf(one.path).includes('username')) &&
        (isHeaderLine(username) ||
          !Object.values(one.headers ?? {})
            .flatMap(gapsOf)
            .includes('username')) &&
        (!username.includes(':') || !gapsIn(one).has('basic'))),
  )
}

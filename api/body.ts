import type { z } from 'zod'
import { LeaseholdError } from '#schemas/errors.ts'
import { jsonFault } from './json-limits.ts'

const maximumBytes = 256 * 1024

/**
 * The body as text, within the limits that hold before anybody is authenticated; `''` when there is none.
 *
 * @throws LeaseholdError `payload-too-large`, `unsupported-media-type`, `invalid-request` (encoding, depth, names of fields)
 */
export async function readBody(request: Request): Promise<string> {
  if (request.body === null) return ''
  const { headers } = request
  if (Number(headers.get('content-length') ?? 0) > maximumBytes) throw new LeaseholdError('payload-too-large')
  const bytes = await collect(request.body)
  if (bytes.length === 0) return ''
  if (!/^application\/json(\s*;\s*charset="?utf-8"?)?$/i.test(headers.get('content-type') ?? '') || headers.has('content-encoding'))
    throw new LeaseholdError('unsupported-media-type')
  const text = decode(bytes)
  const fault = jsonFault(text)
  if (fault !== undefined) throw unreadable(fault)
  return text
}

async function collect(body: ReadableStream<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of body) {
      size += chunk.byteLength
      if (size > maximumBytes) throw new LeaseholdError('payload-too-large')
      chunks.push(chunk)
    }
  } catch (cause) {
    if (cause instanceof LeaseholdError) throw cause
    // The caller went away, or was too slow for the listener.
    throw new LeaseholdError('invalid-request', { detail: 'The body did not arrive as a whole' }, { cause })
  }
  return Buffer.concat(chunks)
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw unreadable('The body must be UTF-8')
  }
}

/** @throws LeaseholdError `invalid-request` when the text is not JSON */
export function parseJson(text: string): unknown {
  if (text === '') return {}
  try {
    return JSON.parse(text)
  } catch {
    throw unreadable('The body is not JSON')
  }
}

/** @throws LeaseholdError `validation-failed` naming each path and rule, never a value */
export function validate<T>(schema: z.ZodType<T>, input: unknown): T {
  const result = schema.safeParse(input, { reportInput: false })
  if (result.success) return result.data
  throw new LeaseholdError('validation-failed', { errors: result.error.issues.flatMap(problemsOf).slice(0, 50) })
}

type Issue = z.core.$ZodIssue

function problemsOf(issue: Issue): { path: string; message: string }[] {
  if (issue.code !== 'unrecognized_keys') return [{ path: pathOf(issue.path), message: messageOf(issue) }]
  return issue.keys.map((key) => ({ path: pathOf([...issue.path, key]), message: 'unknown field' }))
}

/** Names that a caller made up are shown only when they look like names. */
const pathOf = (path: readonly PropertyKey[]): string =>
  path.map((part) => (typeof part === 'number' || /^[A-Za-z_][\w-]{0,63}$/.test(String(part)) ? String(part) : '?')).join('.')

/** Our own words for every rule: messages of a library may quote the input in a later version. */
function messageOf(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${article(issue.expected)}`
    case 'too_small':
      return `must be at least ${String(issue.minimum)}${unitOf(issue.origin)}`
    case 'too_big':
      return `must be at most ${String(issue.maximum)}${unitOf(issue.origin)}`
    case 'invalid_format':
      return `must be a valid ${issue.format}`
    case 'invalid_value':
      return `must be one of ${issue.values.map(String).join(', ')}`
    case 'not_multiple_of':
      return `must be a multiple of ${issue.divisor}`
    case 'custom':
      return issue.message
    default:
      return 'is not valid'
  }
}

const article = (kind: string): string => `${/^[aeio]/.test(kind) ? 'an' : 'a'} ${kind === 'int' ? 'integer' : kind}`
const unitOf = (origin: string): string => (origin === 'string' ? ' characters' : origin === 'array' || origin === 'set' ? ' items' : '')
const unreadable = (detail: string): LeaseholdError => new LeaseholdError('invalid-request', { detail })

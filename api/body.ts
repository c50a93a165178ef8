import type { z } from 'zod'
import { LeaseholdError } from '#schemas/errors.ts'

const maximumBytes = 256 * 1024
const maximumDepth = 32

/**
 * The body as text, within the limits that hold before anybody is authenticated; `''` when there is none.
 *
 * @throws LeaseholdError `payload-too-large`, `invalid-request` (encoding, depth, media type)
 */
export async function readBody(request: Request): Promise<string> {
  if (request.body === null) return ''
  const { headers } = request
  if (Number(headers.get('content-length') ?? 0) > maximumBytes) throw new LeaseholdError('payload-too-large')
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of request.body) {
    size += chunk.byteLength
    if (size > maximumBytes) throw new LeaseholdError('payload-too-large')
    chunks.push(chunk)
  }
  if (size === 0) return ''
  if (!/^application\/json(\s*;\s*charset=utf-8)?$/i.test(headers.get('content-type') ?? '')) throw unreadable('Content-Type must be application/json')
  if (headers.has('content-encoding')) throw unreadable('Content-Encoding is not supported')
  const text = decode(Buffer.concat(chunks))
  if (depthOf(text) > maximumDepth) throw unreadable(`JSON must not be nested deeper than ${maximumDepth}`)
  return text
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw unreadable('The body must be UTF-8')
  }
}

/** Deepest nesting of brackets outside of strings; counted before parsing, because the parser recurses. */
function depthOf(text: string): number {
  let depth = 0
  let deepest = 0
  let quoted = false
  for (let index = 0; index < text.length; index += 1) {
    const character = text[index]
    if (quoted) {
      if (character === '\\') index += 1
      else if (character === '"') quoted = false
    } else if (character === '"') quoted = true
    else if (character === '{' || character === '[') deepest = Math.max(deepest, (depth += 1))
    else if (character === '}' || character === ']') depth -= 1
  }
  return deepest
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

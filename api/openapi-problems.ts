import { errors, type ErrorCode, type ErrorFacts } from '#schemas/errors.ts'

type Json = Record<string, unknown>

const text = { type: 'string' }
const texts = { type: 'array', items: text }

/** What a problem may tell besides (schemas/errors.ts): a fact that is missing here does not compile. */
const facts: Readonly<Record<Exclude<keyof ErrorFacts, 'detail' | 'retryAfterSeconds' | 'allow'>, Json>> = {
  role: text,
  holder: text,
  until: text,
  since: text,
  rotationId: text,
  requestId: text,
  state: text,
  missing: text,
  ask: texts,
  policies: texts,
  acrValues: text,
  maxAgeSeconds: { type: 'integer' },
  hostIds: texts,
  errors: { type: 'array', items: { type: 'object', required: ['path', 'message'], properties: { path: text, message: text } } },
}

/** RFC 9457 with our own fields. */
export const problemSchema: Json = {
  type: 'object',
  required: ['type', 'title', 'status', 'detail', 'code', 'hint', 'traceId', 'correlationId'],
  properties: {
    type: { type: 'string', format: 'uri' },
    title: text,
    status: { type: 'integer' },
    detail: text,
    code: { enum: Object.keys(errors) },
    hint: text,
    traceId: { type: 'string', pattern: '^[0-9a-f]{32}$' },
    correlationId: text,
    ...facts,
  },
}

const header = (description: string, schema: Json, required = false): Json => ({ description, required, schema })

/** Headers of answers, by their name in the document. */
export const headerComponents: Json = {
  'X-Correlation-ID': header('As sent when it was well-formed, else the trace id', text, true),
  ETag: header('Version of the item (RFC 9110 8.8.3)', { type: 'string', pattern: '^"\\d+"$' }, true),
  Location: header('Path of what was made', text),
  'Idempotent-Replayed': header('The same request was answered before', { const: 'true' }),
  'Retry-After': header('Seconds', { type: 'integer', minimum: 1 }, true),
  'WWW-Authenticate': header('What the next request needs (RFC 6750, RFC 9449, RFC 9470)', text, true),
  Allow: header('Methods of the resource', text, true),
}

/** @param names of components */
export const headersNamed = (...names: string[]): Json => Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]))

const headersOf = (status: number): Json =>
  headersNamed('X-Correlation-ID', ...(status === 401 ? ['WWW-Authenticate'] : []), ...(status === 429 || status === 503 ? ['Retry-After'] : []))

/** One response for each status of these codes, which its description lists. */
export function problemResponses(codes: readonly ErrorCode[]): Json {
  const statuses = [...new Set(codes.map((code) => errors[code].status))].sort((one, other) => one - other)
  const described = (status: number): string =>
    [...new Set(codes)]
      .filter((code) => errors[code].status === status)
      .map((code) => `\`${code}\`: ${errors[code].title}`)
      .join('. ')
  return Object.fromEntries(
    statuses.map((status) => [
      status,
      {
        description: described(status),
        headers: headersOf(status),
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    ]),
  )
}

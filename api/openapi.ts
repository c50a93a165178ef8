import { z } from 'zod'
import { ifMatchPattern } from './etag.ts'
import { openPaths } from './openapi-open.ts'
import { headerComponents, headersNamed, problemResponses, problemSchema } from './openapi-problems.ts'
import { refusalsOf, takesIfMatch } from './refusals.ts'
import type { RouteSpec } from './route.ts'

// The document only reads schemas; their types differ from route to route.
// oxlint-disable-next-line no-explicit-any
export type AnyRouteSpec = RouteSpec<any, any, any, any>

type Json = Record<string, unknown>

/** The OpenAPI 3.1 document of the routes: schemas as JSON Schema 2020-12, made from the zod schemas that check requests. */
export function openApiOf(specs: readonly AnyRouteSpec[], url: string): Json {
  const paths: Record<string, Json> = {}
  for (const spec of specs) {
    const path = spec.path.replace(/:(\w+)/g, '{$1}')
    paths[path] = { ...paths[path], [spec.method]: operationOf(spec) }
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Leasehold', version: '1', summary: 'Leases of privileged credentials', license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    servers: [{ url }],
    security: [{ accessToken: [] }],
    paths: { ...paths, ...openPaths },
    components: {
      securitySchemes: {
        accessToken: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'RFC 9068 access token; with DPoP (RFC 9449) the scheme is DPoP.' },
      },
      headers: headerComponents,
      schemas: { Problem: problemSchema },
    },
  }
}

function operationOf(spec: AnyRouteSpec): Json {
  const required = spec.body !== undefined && !spec.body.safeParse({}).success
  return {
    operationId: `${spec.method}${spec.path.replace(/\W+(\w)/g, (_, letter: string) => letter.toUpperCase())}`,
    summary: spec.summary,
    'x-leasehold-action': spec.action,
    parameters: [...parametersOf('path', spec.params), ...parametersOf('query', spec.query), ...headersTaken(spec)],
    ...(spec.body === undefined ? {} : { requestBody: { required, content: { 'application/json': { schema: schemaOf(spec.body, 'input') } } } }),
    responses: {
      ...problemResponses(refusalsOf(spec)),
      ...Object.fromEntries(Object.entries(spec.answers).map(([status, schema]) => [status, responseOf(spec, Number(status), schema)])),
    },
  }
}

function parametersOf(place: 'path' | 'query', schema: z.ZodType | undefined): Json[] {
  if (schema === undefined) return []
  const { properties = {}, required = [] } = schemaOf(schema, 'input') as { properties?: Record<string, Json>; required?: string[] }
  return Object.entries(properties).map(([name, property]) => ({ name, in: place, required: place === 'path' || required.includes(name), schema: property }))
}

const headersTaken = (spec: AnyRouteSpec): Json[] => [...(spec.idempotent ? [idempotencyKey] : []), ...(takesIfMatch(spec) ? [ifMatch] : [])]

function responseOf(spec: AnyRouteSpec, status: number, schema: z.ZodType | null): Json {
  const headers = headersNamed(
    'X-Correlation-ID',
    ...(spec.versioned && schema !== null ? ['ETag'] : []),
    ...(status === 201 || status === 202 ? ['Location'] : []),
    ...(spec.counted === 'checkout' ? ['Idempotent-Replayed'] : []),
  )
  if (schema === null) return { description: 'Done', headers }
  return { description: 'Answer', headers, content: { [mediaTypeOf(schema)]: { schema: schemaOf(schema, 'output') } } }
}

/** A schema may name another media type: `z.string().meta({ mediaType: 'text/event-stream' })`. */
const mediaTypeOf = (schema: z.ZodType): string => String(schema.meta()?.['mediaType'] ?? 'application/json')

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _, mediaType: __, ...json } = z.toJSONSchema(schema, { io, target: 'draft-2020-12', unrepresentable: 'any' }) as Json
  return json
}

const idempotencyKey: Json = {
  name: 'Idempotency-Key',
  in: 'header',
  required: true,
  description: 'Fresh for a new request, the same for its retries.',
  schema: { type: 'string', pattern: '^[\\x21-\\x7e]{1,255}$' },
}

const ifMatch: Json = {
  name: 'If-Match',
  in: 'header',
  required: false,
  description: 'ETag of the version that is meant (RFC 9110 13.1.1); any other answers 412. Absent: any version.',
  schema: { type: 'string', pattern: ifMatchPattern },
}

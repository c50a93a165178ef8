import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { absent, startApi, type TestApi } from './support.ts'

/** Every route of the OpenAPI document is fed with what its schema does not allow. */

interface Schema {
  type?: string | string[]
  anyOf?: Schema[]
  properties?: Record<string, Schema>
  required?: string[]
  minimum?: number
  maximum?: number
  maxLength?: number
  enum?: unknown[]
  items?: Schema
}
interface Operation {
  /** Absent: an access token is needed. */
  security?: unknown[]
  parameters: { name: string; in: string; schema: Schema }[]
  requestBody?: { content: Record<string, { schema: Schema }> }
}
interface Route {
  readonly method: string
  readonly path: string
  readonly operation: Operation
}

let api: TestApi
let database: TestDatabase
const routes: Route[] = []
beforeAll(async () => {
  database = await createTestDatabase()
  api = await startApi(database)
  const { body } = await api.call(null, 'GET', '/v1/openapi.json')
  for (const [path, operations] of Object.entries(body.paths as Record<string, Record<string, Operation>>)) {
    for (const [method, operation] of Object.entries(operations)) {
      if (operation.security === undefined) routes.push({ method: method.toUpperCase(), path: pathOf(path, operation), operation })
    }
  }
})
afterAll(async () => {
  await api?.stop()
  await database?.end()
})

/** With values that the parameters allow. */
function pathOf(path: string, { parameters }: Operation): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => String(parameters.find((parameter) => parameter.name === name)?.schema.enum?.[0] ?? absent))
}

const bodyOf = ({ operation }: Route): Schema | undefined => operation.requestBody?.content['application/json']?.schema
const withBody = (): Route[] => routes.filter((route) => bodyOf(route) !== undefined)
const canary = 'canary-9f27'

/** Values that are wrong for a schema: another type, below and above its limits. */
function wrongFor(schema: Schema): unknown[] {
  const kinds = [schema, ...(schema.anyOf ?? [])]
  const types = kinds.flatMap((kind) => kind.type ?? [])
  const numbers = kinds.flatMap(({ minimum, maximum }) => [
    ...(minimum === undefined ? [] : [minimum - 1]),
    ...(maximum === undefined || maximum > 1e9 ? [] : [maximum + 1]),
  ])
  const long = kinds.flatMap(({ maxLength }) => (maxLength === undefined || maxLength > 10_000 ? [] : [canary.padEnd(maxLength + 1, 'x')]))
  return [
    ...(types.includes('string') ? [918_273_645.5] : [canary]),
    ...(types.includes('array') ? [] : [[canary]]),
    ...(types.includes('object') ? [] : [{ [canary]: canary }]),
    ...numbers,
    ...long,
  ]
}

describe('every route that takes a body', () => {
  test('there are such routes', () => {
    expect(withBody().length).toBeGreaterThan(15)
  })

  test('answers 422 to an unknown field, naming it', async () => {
    for (const { method, path } of withBody()) {
      const { status, body, text } = await api.call('mia', method, path, { body: { unknownField: canary } })
      expect([method, path, status, body.code]).toEqual([method, path, 422, 'validation-failed'])
      expect(body.errors).toContainEqual({ path: 'unknownField', message: 'unknown field' })
      expect(text).not.toContain(canary)
    }
  })

  test('answers 422 to every wrong value of every field, naming the field and never the value', async () => {
    let tried = 0
    for (const route of withBody()) {
      for (const [name, schema] of Object.entries(bodyOf(route)?.properties ?? {})) {
        for (const value of wrongFor(schema)) {
          const { status, body, text } = await api.call('mia', route.method, route.path, { body: { [name]: value } })
          const where = [route.method, route.path, name, JSON.stringify(value).slice(0, 40)]
          expect([...where, status]).toEqual([...where, 422])
          expect([...where, (body.errors as { path: string }[]).some(({ path }) => path === name || path.startsWith(`${name}.`))]).toEqual([...where, true])
          expect([...where, text.includes(canary) || text.includes('918273645')]).toEqual([...where, false])
          tried += 1
        }
      }
    }
    expect(tried).toBeGreaterThan(100)
  })

  test('answers 400 to what is not JSON, 415 to a body of another type', async () => {
    const type = (name: string) => ({ text: '{}', headers: { 'content-type': name } })
    for (const { method, path } of withBody()) {
      const unreadable = [{ text: `{"${canary}` }, { text: '['.repeat(40) }, { text: `{"${canary}":1,"${canary}":2}` }, { text: '{"__proto__":{}}' }]
      for (const options of [...unreadable, type('text/plain'), type('application/x-www-form-urlencoded')]) {
        const { status, body, text } = await api.call('mia', method, path, options)
        const wanted = 'headers' in options ? [415, 'unsupported-media-type'] : [400, 'invalid-request']
        expect([method, path, status, body.code]).toEqual([method, path, ...wanted])
        expect(text).not.toContain(canary)
      }
    }
  })

  test('answers 413 to more than 256 KiB, even to nobody', async () => {
    for (const { method, path } of withBody()) {
      const { status, body } = await api.call(null, method, path, { text: JSON.stringify({ name: 'x'.repeat(262_144) }) })
      expect([method, path, status, body.code]).toEqual([method, path, 413, 'payload-too-large'])
    }
  })

  test('answers 422 to a list instead of an object', async () => {
    for (const { method, path } of withBody()) expect([method, path, (await api.call('mia', method, path, { body: [] })).status]).toEqual([method, path, 422])
  })
})

describe('every route', () => {
  test('answers 401 without a token, with the same body as to a wrong one', async () => {
    for (const { method, path } of routes) {
      const headers = { traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01` }
      const [none, wrong] = await Promise.all([
        api.call(null, method, path, { headers }),
        api.call(null, method, path, { headers: { ...headers, authorization: 'Bearer a.b.c' } }),
      ])
      expect([method, path, none.status, none.text === wrong.text, none.headers.has('www-authenticate')]).toEqual([method, path, 401, true, true])
    }
  })

  test('answers 422 to an unknown or repeated query parameter', async () => {
    for (const { method, path, operation } of routes) {
      const body = operation.requestBody === undefined ? {} : { body: {} }
      for (const query of [`?unknown=${canary}`, '?limit=1&limit=2']) {
        const { status, text } = await api.call('mia', method, path + query, body)
        expect([method, path, query, status, text.includes(canary)]).toEqual([method, path, query, 422, false])
      }
    }
  })

  test('answers 422 to wrong values of its query parameters', async () => {
    for (const { method, path, operation } of routes) {
      for (const { name, schema } of operation.parameters.filter((parameter) => parameter.in === 'query')) {
        const limited = name === 'limit' || (name === 'cursor' && !path.includes(absent)) || 'format' in schema || schema.enum !== undefined
        if (!limited) continue
        const { status, body, text } = await api.call('mia', method, `${path}?${name}=${canary}`)
        expect([method, path, name, status, body?.errors?.[0]?.path, text.includes(canary)]).toEqual([method, path, name, 422, name, false])
      }
    }
  })

  test('answers 404 to an id that is none, like to one that nobody has', async () => {
    const headers = { traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01` }
    for (const { method, path } of routes.filter((route) => route.path.includes(absent) && route.operation.requestBody === undefined)) {
      const answers = await Promise.all(
        [absent, 'not-an-id', '..%2f..', '%00', `${absent}0`].map((id) => api.call('mia', method, path.replaceAll(absent, id), { headers })),
      )
      for (const answer of answers) expect([method, path, answer.status, answer.text]).toEqual([method, path, 404, answers[0]?.text])
    }
  })

  test('creating routes answer 400 without a usable Idempotency-Key', async () => {
    const checkout = `/v1/identities/${absent}/checkout`
    for (const key of ['', ' ', 'x'.repeat(256), 'ä']) {
      const { status, body } = await api.call('mia', 'POST', checkout, { body: { reason: 'x', durationMinutes: 5 }, headers: { 'idempotency-key': key } })
      expect([key, status, body.code]).toEqual([key, 400, 'idempotency-key-required'])
    }
  })
})

test('no query makes the API fail, whatever characters it holds', async () => {
  for (const { method, path, operation } of routes.filter((route) => route.method === 'GET')) {
    for (const { name } of operation.parameters.filter((parameter) => parameter.in === 'query')) {
      for (const value of ['%00', '%ff', '%ed%a0%80', "'", '%25', '9'.repeat(400)]) {
        const { status } = await api.call('mia', method, `${path}?${name}=${value}`)
        expect([method, path, name, value, status < 500]).toEqual([method, path, name, value, true])
      }
    }
  }
})

test('a moment is one whatever its offset, in the years that have four digits', async () => {
  const ask = async (moment: string): Promise<number> => (await api.call('axe', 'GET', `/v1/audit/events?from=${encodeURIComponent(moment)}`)).status
  for (const moment of ['1069-10-08T03:57:21-21:30', '2026-01-01T00:00:00+23:59', '0001-01-01T00:00:00Z', '9999-12-31T23:59:59.999Z'])
    expect([moment, await ask(moment)]).toEqual([moment, 200])
  for (const moment of ['0000-01-01T00:00:00Z', '9999-12-31T23:59:59-23:59', '0001-01-01T00:00:00+01:00', '2026-02-30T00:00:00Z', '2026-01-01'])
    expect([moment, await ask(moment)]).toEqual([moment, 422])
})

describe('the answer', () => {
  test('is never cached and echoes a well-formed correlation id', async () => {
    for (const path of ['/v1/me', '/v1/leases', '/healthz', '/v1/nothing-here', '/v1/openapi.json']) {
      const { headers } = await api.call('mia', 'GET', path, { headers: { 'x-correlation-id': 'ticket-42' } })
      expect([path, headers.get('cache-control'), headers.get('x-correlation-id'), headers.get('x-content-type-options')]).toEqual([
        path,
        'no-store',
        'ticket-42',
        'nosniff',
      ])
    }
    const { headers, body } = await api.call('mia', 'GET', '/v1/nothing-here', { headers: { 'x-correlation-id': 'a b<script>' } })
    expect(headers.get('x-correlation-id')).toMatch(/^[0-9a-f]{32}$/)
    expect(body).toMatchObject({ code: 'not-found', correlationId: headers.get('x-correlation-id'), traceId: headers.get('x-correlation-id') })
  })

  test('to another spelling of a route is no other route', async () => {
    for (const path of ['/V1/me', '//v1/me', '/v1//me', '/v1/me/', '/v1/me;x=1'])
      expect([path, (await api.call('mia', 'GET', path)).status]).toEqual([path, 404])
    expect((await api.call(null, 'HEAD', '/v1/me')).status).toBe(401)
  })
})

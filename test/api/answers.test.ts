import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { absent, startApi, type TestApi } from './support.ts'

interface Operation {
  readonly operationId: string
  readonly responses: Record<string, unknown>
}

const console = 'https://console.example.com'
let database: TestDatabase
let api: TestApi
let open: TestApi
/** Path with values -> methods of the OpenAPI document. */
const known = new Map<string, string[]>()
const operations: Operation[] = []

beforeAll(async () => {
  database = await createTestDatabase()
  api = await startApi(database)
  open = await startApi(database, {}, { corsOrigins: [console, 'http://localhost:5173'] })
  const { paths } = (await api.call(null, 'GET', '/v1/openapi.json')).body as { paths: Record<string, Record<string, Operation>> }
  for (const [path, methods] of Object.entries(paths)) {
    known.set(
      path.replace('{kind}', 'lease').replace(/\{\w+\}/g, absent),
      Object.keys(methods).map((method) => method.toUpperCase()),
    )
    operations.push(...Object.values(methods))
  }
})
afterAll(async () => {
  await Promise.all([api?.stop(), open?.stop()])
  await database?.end()
})

describe('every answer', () => {
  test('tells browsers to run nothing, frame nothing, guess nothing, keep nothing and say nothing of it; and not who made it', async () => {
    const asked = [
      ['mia', 'GET', '/v1/me'],
      ['mia', 'GET', `/v1/hosts/${absent}`],
      ['mia', 'POST', '/v1/organizations'],
      [null, 'GET', '/v1/me'],
      [null, 'GET', '/healthz'],
      [null, 'GET', '/readyz'],
      [null, 'GET', '/v1/openapi.json'],
      [null, 'POST', '/v1/connectors/join'],
      [null, 'PUT', '/v1/me'],
      [null, 'OPTIONS', '/v1/me'],
      [null, 'HEAD', '/v1/me'],
      [null, 'GET', '/'],
    ] as const
    for (const [sub, method, path] of asked) {
      const { headers } = await api.call(sub, method, path)
      expect([method, path, Object.fromEntries(headers)]).toEqual([
        method,
        path,
        expect.objectContaining({
          'x-content-type-options': 'nosniff',
          'cache-control': 'no-store',
          'referrer-policy': 'no-referrer',
          'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
          'x-correlation-id': expect.any(String),
        }),
      ])
      for (const name of ['server', 'x-powered-by', 'strict-transport-security', 'access-control-allow-origin', 'set-cookie'])
        expect([method, path, name, headers.get(name)]).toEqual([method, path, name, null])
    }
  })
})

describe('a method that a resource does not have', () => {
  test('answers 405 with those that it has, on every path of the document and without a login', async () => {
    expect(known.size).toBeGreaterThan(30)
    for (const [path, methods] of known) {
      const allowed = [...methods, ...(methods.includes('GET') ? ['HEAD'] : [])].sort()
      for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'QUERY']) {
        if (methods.includes(method)) continue
        const { status, headers, body } = await api.call(null, method, path)
        expect([method, path, status, body.code, headers.get('allow')?.split(', ').sort()]).toEqual([method, path, 405, 'method-not-allowed', allowed])
      }
    }
  })

  test('is none where there is no resource: 404', async () => {
    for (const method of ['GET', 'POST', 'DELETE', 'OPTIONS', 'PROPFIND']) {
      const { status, headers } = await api.call('mia', method, '/v1/nothing-here')
      expect([method, status, headers.get('allow')]).toEqual([method, 404, null])
    }
  })

  test('HEAD is answered like GET, without a body', async () => {
    const [head, get] = [await api.call('mia', 'HEAD', '/v1/me'), await api.call('mia', 'GET', '/v1/me')]
    expect([head.status, head.text, head.headers.get('content-type')]).toEqual([200, '', get.headers.get('content-type')])
  })
})

describe('scripts of other origins', () => {
  const preflight = (of: TestApi, origin: string, path = '/v1/leases') =>
    of.call(null, 'OPTIONS', path, { headers: { origin, 'access-control-request-method': 'GET', 'access-control-request-headers': 'authorization' } })
  const corsHeaders = (headers: Headers): string[] => [...headers.keys()].filter((name) => name.startsWith('access-control-'))

  test('may read nothing unless their origin is configured', async () => {
    const { headers, status } = await api.call('mia', 'GET', '/v1/me', { headers: { origin: console } })
    expect([status, corsHeaders(headers)]).toEqual([200, []])
    const asked = await preflight(api, console)
    expect([asked.status, corsHeaders(asked.headers)]).toEqual([405, []])
  })

  test('of a configured origin may ask and read, by its exact name and without cookies', async () => {
    const asked = await preflight(open, console)
    expect([asked.status, asked.headers.get('access-control-allow-origin'), asked.headers.get('access-control-allow-methods')]).toEqual([
      204,
      console,
      'GET, HEAD',
    ])
    expect(asked.headers.get('access-control-allow-headers')).toContain('authorization')
    const { status, headers } = await open.call('mia', 'GET', '/v1/me', { headers: { origin: console } })
    expect([status, headers.get('access-control-allow-origin'), headers.get('vary')]).toEqual([200, console, 'origin'])
    expect(headers.get('access-control-expose-headers')).toContain('etag')
    expect(headers.get('access-control-allow-credentials')).toBeNull()
    const refused = await open.call(null, 'GET', '/v1/me', { headers: { origin: console } })
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([401, console])
  })

  test.each(['https://evil.example', `${console}.evil.example`, 'http://console.example.com', `${console}:8443`, 'null', '*', ''])(
    'of %j may not, beside configured ones',
    async (origin) => {
      const asked = await preflight(open, origin)
      expect([asked.status, corsHeaders(asked.headers)]).toEqual([405, []])
      const { headers } = await open.call('mia', 'GET', '/v1/me', { headers: { origin } })
      expect([corsHeaders(headers), headers.get('vary')]).toEqual([[], 'origin'])
    },
  )

  test('learn nothing about paths that there are none at', async () => {
    expect((await preflight(open, console, '/v1/nothing-here')).status).toBe(404)
  })
})

test('the OpenAPI document names every status of every operation one by one, and each operation once', () => {
  for (const { operationId, responses } of operations)
    expect([operationId, Object.keys(responses).filter((status) => !/^[2-5]\d\d$/.test(status))]).toEqual([operationId, []])
  expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length)
})

test('a request with more than 100 header lines is refused', async () => {
  const headers = ['host', 'x', ...Array.from({ length: 100 }, (_, index) => [`x-${index}`, '1']).flat()]
  const incoming = { rawHeaders: headers, socket: {} }
  expect((await api.app.request('/healthz', {}, { incoming } as never)).status).toBe(400)
  expect((await api.app.request('/healthz', {}, { incoming: { ...incoming, rawHeaders: headers.slice(2) } } as never)).status).toBe(200)
})

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createAuthenticate } from '#api/authenticate.ts'
import { createCursors } from '#api/cursor.ts'
import { createLanes } from '#api/lanes.ts'
import { createLimits } from '#api/limits.ts'
import { addressKey, createRateLimit } from '#api/rate-limit.ts'
import { reply } from '#api/route.ts'
import { runRoute } from '#api/run-route.ts'
import { traceOf } from '#api/trace.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { absent, apiUrl, startApi, type TestApi } from './support.ts'

describe('a rate limit', () => {
  let time = 0
  const limit = (perSecond: number, burst: number) => createRateLimit({ perSecond, burst }, () => time)
  /** Seconds to wait; 0: it was let through. */
  const wait = (run: () => void): number => {
    try {
      run()
      return 0
    } catch (error) {
      return (error as LeaseholdError).facts.retryAfterSeconds ?? -1
    }
  }
  const passed = (turns: number, run: () => void): number => Array.from({ length: turns }, () => wait(run)).filter((seconds) => seconds === 0).length

  test('lets a burst through, then the rate and no more, and says how long to wait', () => {
    const { take } = limit(50, 100)
    expect(passed(150, () => take('sam'))).toBe(100)
    expect(wait(() => take('sam'))).toBe(1)
    time += 1_000
    expect(passed(150, () => take('sam'))).toBe(50)
    time += 60_000
    expect(passed(150, () => take('sam'))).toBe(100)
  })

  test('of 20 a minute gives one back every 3 seconds', () => {
    const { take } = limit(20 / 60, 20)
    expect(passed(30, () => take('sam'))).toBe(20)
    expect(wait(() => take('sam'))).toBe(3)
    time += 2_900
    expect(wait(() => take('sam'))).toBe(1)
    time += 100
    expect(passed(5, () => take('sam'))).toBe(1)
  })

  test('refuses whoever is refused anyway without taking from them, and a look takes nothing', () => {
    const { take, check } = limit(1, 1)
    expect(passed(10, () => check('sam'))).toBe(10)
    take('sam')
    expect(passed(100, () => check('sam')) + passed(100, () => take('sam'))).toBe(0)
    time += 1_000
    expect(passed(1, () => take('sam'))).toBe(1)
  })

  test('of one is not felt by others, and a flood of names gives nobody a fresh bucket', () => {
    const { take } = limit(1, 5)
    expect(passed(10, () => take('attacker'))).toBe(5)
    expect(passed(10, () => take('sam'))).toBe(5)
    for (let name = 0; name < 200_000; name += 1) wait(() => take(`name ${name}`))
    expect(passed(10, () => take('attacker'))).toBe(0)
  })

  test('counts a /64 of IPv6 as one address, and an address of IPv4 as itself however it is written', () => {
    expect(addressKey('2001:DB8:0:1::5')).toBe(addressKey('2001:db8:0:1:ffff:ffff:ffff:ffff'))
    expect(addressKey('2001:db8::1')).toBe(addressKey('2001:db8:0:0:9::'))
    expect(addressKey('fe80::1%eth0')).toBe(addressKey('fe80::2'))
    expect(addressKey('2001:db8:0:1::5')).not.toBe(addressKey('2001:db8:0:2::5'))
    expect(addressKey('::ffff:192.0.2.1')).toBe('192.0.2.1')
    expect(addressKey('192.0.2.1')).not.toBe(addressKey('192.0.2.2'))
  })
})

describe('the API', () => {
  let database: TestDatabase
  let api: TestApi
  // As in production, but so slow that nothing comes back during a test.
  const rates = { perSecond: 0.01, burst: 100, failuresPerMinute: 20 }
  beforeAll(async () => {
    database = await createTestDatabase()
    api = await startApi(database, {}, { rates })
  })
  afterAll(async () => {
    await api?.stop()
    await database?.end()
  })
  const many = async (turns: number, ask: () => ReturnType<TestApi['call']>): Promise<Record<number, number>> => {
    const statuses: Record<number, number> = {}
    for (const { status } of await Promise.all(Array.from({ length: turns }, ask))) statuses[status] = (statuses[status] ?? 0) + 1
    return statuses
  }

  test('answers 429 with Retry-After to a caller beyond the burst, whatever token they come with; others feel nothing', async () => {
    // A busy machine may turn away more, and says so in another way.
    const { 200: answered = 0, 503: busy = 0, ...refused } = await many(130, () => api.call('sam', 'GET', '/v1/me'))
    expect([answered + busy, refused]).toEqual([100, { 429: 30 }])
    const { status, body, headers } = await api.call('sam', 'GET', '/v1/leases')
    expect([status, body.code, Number(headers.get('retry-after')) >= 1]).toEqual([429, 'rate-limited', true])
    expect((await api.call('vic', 'GET', '/v1/me')).status).toBe(200)
  })

  test('never counts what tells whether it lives', async () => {
    for (const path of ['/healthz', '/readyz', '/v1/openapi.json'])
      expect([path, await many(150, () => api.call('sam', 'GET', path))]).toEqual([path, { 200: 150 }])
  }, 90_000)

  test('answers 429 to the 21st failed login of an address; who succeeds from there is let in, and so is a user whose token is over', async () => {
    const wrong = { authorization: 'Bearer wrong' }
    expect(await many(25, () => api.call(null, 'GET', '/v1/me', { headers: wrong }))).toEqual({ 401: 20, 429: 5 })
    expect((await api.call(null, 'GET', '/v1/me', { headers: wrong })).headers.get('retry-after')).toBe('3')
    expect((await api.call('ola', 'GET', '/v1/me')).status).toBe(200)
    const over = {
      authorization: `Bearer ${await api.issuer.token('ola', { exp: Math.floor(Date.now() / 1_000) - 60, iat: Math.floor(Date.now() / 1_000) - 120 })}`,
    }
    expect((await api.call(null, 'GET', '/v1/me', { headers: over })).status).toBe(401)
  })

  test('puts failed logins of a user on record only as often as they are let through', async () => {
    const headers = {
      authorization: `Bearer ${await api.issuer.token('axe', { exp: Math.floor(Date.now() / 1_000) - 60, iat: Math.floor(Date.now() / 1_000) - 120 })}`,
    }
    expect(await many(60, () => api.call(null, 'GET', '/v1/me', { headers }))).toEqual({ 401: 20, 429: 40 })
    const { rows } = await database.superuser(`select count(*)::int as records from audit_event where action = 'authentication.refused' and actor_sub = 'axe'`)
    expect(rows).toEqual([{ records: 20 }])
    expect((await api.call('axe', 'GET', '/v1/me')).status).toBe(200)
  })

  test('does not count what has a limit of its own: break-glass is refused by that one alone', async () => {
    const { parts } = api
    const limits = createLimits({ rates: { perSecond: 0.01, burst: 1, failuresPerMinute: 1 } })
    const tools = { parts, limits, authenticate: createAuthenticate(parts, limits), cursors: createCursors(parts.cursorKey), lanes: createLanes(1, 1_000) }
    const authorization = `Bearer ${await api.issuer.token('mia')}`
    const ask = async (more: { ownLimit?: true }) => {
      const spec = { method: 'get', path: '/v1/me', action: 'me.read', summary: 'none', answers: { 200: null }, ...more } as const
      const incoming = {
        request: new Request(`${apiUrl}/v1/me`, { headers: { authorization } }),
        params: {},
        trace: traceOf(new Headers(), undefined),
        certificate: () => undefined,
      }
      return runRoute(tools, spec, () => reply(200, null), incoming).then(
        ({ status }) => status,
        (error: LeaseholdError) => error.code,
      )
    }
    expect([await ask({}), await ask({}), await ask({ ownLimit: true }), await ask({ ownLimit: true }), await ask({})]).toEqual([
      200,
      'rate-limited',
      200,
      200,
      'rate-limited',
    ])
  })

  test('counts what a route with a limit of its own refuses: whoever may not do it cannot ask for ever', async () => {
    const headers = { 'idempotency-key': 'none' }
    const body = { reason: 'x', justification: 'nobody can be asked', breakGlassCredential: 'seven quiet herons' }
    expect(await many(25, () => api.call('gus', 'POST', `/v1/identities/${absent}/break-glass`, { body, headers }))).toEqual({ 404: 20, 429: 5 })
    expect((await api.call('gus', 'GET', '/v1/me')).status).toBe(200)
  })

  test('counts somebody of the issuer who is nobody of ours as a failure too', async () => {
    expect(await many(25, () => api.call('stranger', 'GET', '/v1/me'))).toEqual({ 403: 20, 429: 5 })
  })
})

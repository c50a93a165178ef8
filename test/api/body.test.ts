import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { parseJson, readBody, validate } from '#api/body.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { CheckoutBody, ExtendBody } from '#schemas/lease.ts'

const request = (body: BodyInit, headers: Record<string, string> = {}): Request =>
  new Request('http://api/x', { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers }, duplex: 'half' } as RequestInit)
const codeOf = async (run: () => unknown): Promise<string> => {
  try {
    await run()
    return 'none'
  } catch (error) {
    return (error as LeaseholdError).code
  }
}

describe('limits before anybody is known', () => {
  test('256 KiB pass, one byte more does not, with or without a length', async () => {
    const most = `"${'x'.repeat(256 * 1024 - 2)}"`
    expect(await readBody(request(most))).toBe(most)
    expect(await codeOf(() => readBody(request(`${most} `)))).toBe('payload-too-large')
    const stream = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(65_536)) })
    expect(await codeOf(() => readBody(request(stream)))).toBe('payload-too-large')
  })

  test('32 levels pass, 33 and 100,000 do not; brackets in strings do not count', async () => {
    expect(await readBody(request('['.repeat(32) + ']'.repeat(32)))).toHaveLength(64)
    expect(await codeOf(() => readBody(request('['.repeat(33) + ']'.repeat(33))))).toBe('invalid-request')
    expect(await codeOf(() => readBody(request('['.repeat(100_000))))).toBe('invalid-request')
    expect(await readBody(request(JSON.stringify('[{"\\'.repeat(50))))).toContain('[{')
  })

  test.each([['text/plain'], ['application/x-www-form-urlencoded'], ['application/json; charset=latin1']])('%s is refused', async (type) => {
    expect(await codeOf(() => readBody(request('{}', { 'content-type': type })))).toBe('invalid-request')
  })

  test('compressed bodies and bodies that are not UTF-8 are refused', async () => {
    expect(await codeOf(() => readBody(request('{}', { 'content-encoding': 'gzip' })))).toBe('invalid-request')
    expect(await codeOf(() => readBody(request(new Uint8Array([0x22, 0xff, 0x22]))))).toBe('invalid-request')
  })

  test.each(['{', '{"a":1,}', 'NaN', "{'a':1}", '{} {}', '\u0000'])('%j is not JSON', async (text) => {
    expect(await codeOf(() => parseJson(text))).toBe('invalid-request')
  })
})

describe('values', () => {
  const faults = (schema: z.ZodType, input: unknown): readonly { path: string; message: string }[] => {
    try {
      validate(schema, input)
      return []
    } catch (error) {
      return (error as LeaseholdError).facts.errors ?? []
    }
  }
  const good = { reason: 'deploy', durationMinutes: 30 }

  test.each([5, 6, 1439, 1440])('a lease may last %i minutes', (durationMinutes) => {
    expect(faults(CheckoutBody, { ...good, durationMinutes })).toEqual([])
  })

  test.each([4, 1441, 0, -5, 5.5, Number.POSITIVE_INFINITY, Number.NaN, '30', null, [30]])('a lease may not last %j minutes', (durationMinutes) => {
    expect(faults(CheckoutBody, { ...good, durationMinutes })).toMatchObject([{ path: 'durationMinutes' }])
  })

  test('a reason has 1 to 500 code points, an emoji counts once', () => {
    for (const reason of ['x', 'x'.repeat(500), '😀'.repeat(500)]) expect(faults(CheckoutBody, { ...good, reason })).toEqual([])
    for (const reason of ['', 'x'.repeat(501), '😀'.repeat(501)]) expect(faults(CheckoutBody, { ...good, reason })).toMatchObject([{ path: 'reason' }])
  })

  test.each(['   ', '\u200d\u200d', 'a\u0000b', '\ud800'])('%j is no reason', (reason) => {
    expect(faults(CheckoutBody, { ...good, reason })).toMatchObject([{ path: 'reason' }])
  })

  test('unknown fields are refused by name, odd names are not repeated', () => {
    expect(faults(CheckoutBody, { ...good, owner: true })).toEqual([{ path: 'owner', message: 'unknown field' }])
    expect(faults(CheckoutBody, JSON.parse('{"reason":"x","durationMinutes":5,"__proto__":{"owner":true}}'))).toEqual([
      { path: '__proto__', message: 'unknown field' },
    ])
    expect(faults(CheckoutBody, { ...good, 'p4ss w0rd!': 1 })).toEqual([{ path: '?', message: 'unknown field' }])
  })

  test('no message repeats what was sent', () => {
    const canary = 'hunter2-canary'
    for (const input of [{ reason: { canary }, durationMinutes: canary }, { reason: canary, durationMinutes: canary, hostId: canary }, canary, [canary]]) {
      expect(JSON.stringify(faults(CheckoutBody, input))).not.toContain(canary)
    }
    expect(faults(ExtendBody, { minutes: 0 })).toEqual([{ path: 'minutes', message: 'must be at least 1' }])
  })
})

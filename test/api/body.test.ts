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

  test.each([['text/plain'], ['application/x-www-form-urlencoded'], ['application/json; charset=latin1'], ['application/problem+json']])(
    '%s is refused',
    async (type) => {
      expect(await codeOf(() => readBody(request('{}', { 'content-type': type })))).toBe('unsupported-media-type')
    },
  )

  test('compressed bodies and bodies that are not UTF-8 are refused', async () => {
    expect(await codeOf(() => readBody(request('{}', { 'content-encoding': 'gzip' })))).toBe('unsupported-media-type')
    expect(await codeOf(() => readBody(request(new Uint8Array([0x22, 0xff, 0x22]))))).toBe('invalid-request')
  })

  test('a field that an object names twice is refused, however it is spelled and wherever it stands', async () => {
    for (const text of [
      '{"a":1,"a":1}',
      '{"a":1,"\\u0061":2}',
      '[{"b":{"a" : 1, "c":[], "a"\n:2}}]',
      '{"a":{"b":1},"a":{}}',
      `{"a":1,"a"${' '.repeat(1_000)}:2}`,
    ])
      expect([text, await codeOf(() => readBody(request(text)))]).toEqual([text, 'invalid-request'])
    for (const text of ['{"a":{"a":1},"b":{"a":1}}', '["a","a"]', '{"a":"a","b":"a"}', '[{"a":1},{"a":1}]', '{"a":"\\"a\\":"}'])
      expect(await readBody(request(text))).toBe(text)
  })

  test('1,000 fields pass, 1,001 do not', async () => {
    const fields = (count: number): string => JSON.stringify([Object.fromEntries(Array.from({ length: count }, (_, index) => [`f${index}`, [index]]))])
    expect(await readBody(request(fields(1_000)))).toBe(fields(1_000))
    expect(await codeOf(() => readBody(request(fields(1_001))))).toBe('invalid-request')
  })

  test('no field may be called __proto__, at any depth and in any spelling', async () => {
    for (const text of ['{"__proto__":{}}', '{"a":[{"\\u005f_proto__":1}]}']) expect(await codeOf(() => readBody(request(text)))).toBe('invalid-request')
    expect(await readBody(request('{"a":"__proto__"}'))).toContain('__proto__')
  })

  test('the largest bodies are looked at in no time, whatever they hold', async () => {
    const most = 256 * 1024
    const hostile = [
      '"'.repeat(most),
      '\\'.repeat(most),
      '{"a":'.repeat(most / 5),
      `{"a":${'9'.repeat(most - 6)}}`,
      `{"a"${' '.repeat(most - 6)}:1}`,
      '""'.repeat(most / 2),
    ]
    const began = performance.now()
    for (const text of hostile) await codeOf(async () => parseJson(await readBody(request(text))))
    expect(performance.now() - began).toBeLessThan(1_000)
  })

  test('a body that breaks off is no error of ours', async () => {
    const stream = new ReadableStream({ start: (controller) => controller.error(new Error('aborted')) })
    expect(await codeOf(() => readBody(request(stream)))).toBe('invalid-request')
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

  test('numbers beyond all measure are no values', () => {
    for (const number of ['1e400', '-1e400', '9007199254740993', '1e308', '5e-324'])
      expect(faults(CheckoutBody, { ...good, durationMinutes: JSON.parse(number) })).toContainEqual({ path: 'durationMinutes', message: expect.any(String) })
  })

  test('no message repeats what was sent', () => {
    const canary = 'hunter2-canary'
    for (const input of [{ reason: { canary }, durationMinutes: canary }, { reason: canary, durationMinutes: canary, hostId: canary }, canary, [canary]]) {
      expect(JSON.stringify(faults(CheckoutBody, input))).not.toContain(canary)
    }
    expect(faults(ExtendBody, { minutes: 0 })).toEqual([{ path: 'minutes', message: 'must be at least 1' }])
  })
})

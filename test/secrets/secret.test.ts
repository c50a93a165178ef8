import { format, inspect } from 'node:util'
import { serialize } from 'node:v8'
import pino from 'pino'
import { expect, test } from 'vitest'
import { Secret } from '#schemas/secret.ts'

const value = 'Tr0ub4dor&3'
const secret = Secret.of(value)
const holder = { name: 'orders-db', credential: secret, list: [secret] }

test('gives its value to whoever asks for it by name', () => {
  expect(secret.expose()).toBe(value)
})

test.each<[string, () => unknown]>([
  ['a template', () => `${secret as unknown as string}`],
  ['a concatenation', () => 'is ' + (secret as unknown as string)],
  ['String()', () => String(secret)],
  ['toString()', () => secret.toString()],
  ['JSON', () => JSON.stringify(holder)],
  ['inspect', () => inspect(holder, { depth: null, showHidden: true, getters: true })],
  ['inspect without custom functions', () => inspect(holder, { depth: null, showHidden: true, customInspect: false })],
  ['format', () => format('%s %o %O %j %d', secret, secret, secret, secret, secret)],
  ['an error message', () => new Error(`failed for ${secret as unknown as string}`, { cause: secret }).stack],
  ['structuredClone', () => JSON.stringify(structuredClone(holder)) + inspect(structuredClone(holder))],
  ['the serializer of node', () => serialize({ secret: { ...secret } }).toString('latin1')],
  ['its own keys', () => [...Reflect.ownKeys(secret), ...Object.values(secret), JSON.stringify({ ...secret })].map(String).join()],
  ['a form', () => new URLSearchParams({ value: secret as unknown as string }).toString()],
  ['a log line', () => logged(holder)],
])('shows nothing in %s', (_where, print) => {
  expect(String(print())).not.toContain(value)
})

test('shows that a secret stood there', () => {
  expect(JSON.parse(JSON.stringify(holder))).toEqual({ name: 'orders-db', credential: '[secret]', list: ['[secret]'] })
  expect(inspect(secret)).toBe('[secret]')
})

function logged(fields: object): string {
  const lines: string[] = []
  pino({}, { write: (line: string) => lines.push(line) }).info(fields, 'checked out')
  return lines.join('')
}

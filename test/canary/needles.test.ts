import { expect, test } from 'vitest'
import { needlesOf, scan } from './needles.ts'

const secret = 'S3cret/+"ü value'
const needles = needlesOf('it', secret)
const found = (text: string | Buffer) => scan([{ name: 'sink', bytes: Buffer.from(text) }], needles).length > 0

const written: readonly (readonly [string, string | Buffer])[] = [
  ['as it is', `x${secret}y`],
  ['in hexadecimal', `\\x${Buffer.from(secret).toString('hex')}`],
  ['in a URL', `/v1?x=${encodeURIComponent(secret)}&y`],
  ['in JSON', JSON.stringify({ a: secret })],
  ['in JSON within JSON', JSON.stringify(JSON.stringify({ a: 'S3cret/+ü value' })).replace('S3cret/+ü value', secret)],
  ['in JSON in escapes', [...secret].map((character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')],
  ['in UTF-16', Buffer.from(secret, 'utf16le')],
  ...[0, 1, 2, 3, 4].flatMap((before) =>
    [0, 1, 2].map(
      (behind) =>
        [`in base64, ${before} bytes before and ${behind} behind`, Buffer.from('x'.repeat(before) + secret + 'y'.repeat(behind)).toString('base64')] as const,
    ),
  ),
  ...[0, 1, 2].map((before) => [`in base64url, ${before} bytes before`, Buffer.from(`${'x'.repeat(before)}${secret}tail`).toString('base64url')] as const),
]

test.each(written)('a secret is found %s', (_, text) => {
  expect(found(text)).toBe(true)
})

test('what is not there is not found', () => {
  expect(found(JSON.stringify({ a: 'S3cret', b: Buffer.from('other').toString('base64') }))).toBe(false)
})

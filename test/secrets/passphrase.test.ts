import { createSecretKey, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { Secret } from '#schemas/secret.ts'
import { createPassphrases } from '#secrets/passphrase.ts'

const key = createSecretKey(randomBytes(32))
const cheap = { memoryKib: 64, passes: 1, lanes: 1 }
const phrase = (text: string) => Secret.of(text)

test('a passphrase is hashed as RFC 9106 recommends, with a salt of its own each time', async () => {
  const passphrases = createPassphrases(key)
  const [one, other] = [await passphrases.hash(phrase('seven quiet herons')), await passphrases.hash(phrase('seven quiet herons'))]
  expect(one).toMatchObject({ memoryKib: 65_536, passes: 3, lanes: 4 })
  expect([one.salt.length, one.tag.length]).toEqual([16, 32])
  expect(Buffer.from(one.tag).equals(other.tag)).toBe(false)
  expect(await passphrases.verify(phrase('seven quiet herons'), one)).toBe(true)
}, 30_000)

test('only the passphrase itself is taken, however its letters are composed, and only with the key', async () => {
  const passphrases = createPassphrases(key, cheap)
  const hash = await passphrases.hash(phrase('sept h\u00e9rons tranquilles'))
  expect(await passphrases.verify(phrase('sept he\u0301rons tranquilles'), hash)).toBe(true)
  expect(await passphrases.verify(phrase('sept herons tranquilles'), hash)).toBe(false)
  expect(await createPassphrases(createSecretKey(randomBytes(32)), cheap).verify(phrase('sept h\u00e9rons tranquilles'), hash)).toBe(false)
})

test('an old hash is held against what it was made with', async () => {
  const hash = await createPassphrases(key, cheap).hash(phrase('seven quiet herons'))
  expect(await createPassphrases(key, { ...cheap, passes: 2 }).verify(phrase('seven quiet herons'), hash)).toBe(true)
})

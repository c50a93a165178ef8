import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Secret } from '#schemas/secret.ts'
import { passwordHash } from '#secrets/envelope.ts'
import { freshValue } from '#secrets/fresh-value.ts'
import { deriveVaultKey } from '#secrets/vault-keys.ts'
import { organizationSecret, vaultKey, vaultRef } from './keys.ts'

const draw = (values: readonly string[]) => {
  let drawn = 0
  return () => ({ value: Secret.of(values[drawn++ % values.length] as string) })
}
const old = (value: string, key = vaultKey) => ({ key, hash: passwordHash(key, Secret.of(value)) })

test('a fresh value is the first that is none of the old ones, whatever the generator draws', () => {
  const words = fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), { minLength: 1, maxLength: 20 })
  fc.assert(
    fc.property(words, fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e'), { maxLength: 5 }), (drawn, gone) => {
      const left = drawn.find((word) => !gone.some((one) => one === word))
      const fresh = () =>
        freshValue(
          draw(drawn),
          gone.map((word) => old(word)),
        ).value.expose()
      if (left === undefined) expect(fresh).toThrow('only repeats itself')
      else expect(fresh()).toBe(left)
    }),
  )
})

test('a value of an older key does not come back either', () => {
  const older = deriveVaultKey(organizationSecret, { ...vaultRef, keyVersion: 1 })
  expect(freshValue(draw(['past', 'new']), [old('past', older)]).value.expose()).toBe('new')
})

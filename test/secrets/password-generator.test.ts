import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { allowedCharacters, characterClasses, PasswordPolicy } from '#schemas/password-policy.ts'
import { defaultPolicies, generatePassword } from '#secrets/password-generator.ts'

const visible = [...'!"#$%&\'()*+,-./:;<=>?@[]^_{|}~aB3xYz09']
const anyPolicy = fc.record({
  length: fc.integer({ min: 12, max: 256 }),
  classes: fc.uniqueArray(fc.constantFrom(...characterClasses), { minLength: 2, maxLength: 4 }),
  forbidden: fc.uniqueArray(fc.constantFrom(...visible), { maxLength: 30 }).map((characters) => characters.join('')),
})
const policy = anyPolicy.filter((candidate) => PasswordPolicy.safeParse(candidate).success)

describe('a generated password', () => {
  test('has the length, every class, and no other or forbidden character, whatever the policy', () => {
    fc.assert(
      fc.property(policy, (asked) => {
        const password = generatePassword(asked).expose()
        const sets = allowedCharacters(asked)
        expect(password).toHaveLength(asked.length)
        for (const set of sets) expect(set.some((character) => password.includes(character))).toBe(true)
        expect([...password].every((character) => sets.flat().includes(character) && !asked.forbidden.includes(character))).toBe(true)
      }),
      { numRuns: 200 },
    )
  })

  test.each(Object.entries(defaultPolicies))('follows a valid policy by default (%s), with more than 180 bits', (_type, asked) => {
    expect(PasswordPolicy.parse(asked)).toEqual(asked)
    expect(asked.length * Math.log2(allowedCharacters(asked).flat().length)).toBeGreaterThan(180)
  })

  test('never comes twice', () => {
    const drawn = Array.from({ length: 1_000 }, () => generatePassword(defaultPolicies.password).expose())
    expect(new Set(drawn).size).toBe(1_000)
  })

  test('uses every character equally often', () => {
    const asked = { length: 256, classes: ['lower', 'digit'] as const }
    const counts = new Map<string, number>()
    for (let run = 0; run < 400; run += 1) {
      for (const character of generatePassword({ ...asked, classes: [...asked.classes] }).expose()) counts.set(character, (counts.get(character) ?? 0) + 1)
    }
    const expected = (400 * 256) / 36
    const chiSquare = [...counts.values()].reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
    expect(counts.size).toBe(36)
    // 35 degrees of freedom: a fair generator passes all but once in ten million runs.
    expect(chiSquare).toBeLessThan(105)
  })
})

describe('a password policy', () => {
  test.each([
    ['shorter than 12', { length: 11, classes: ['lower', 'digit'] }, 'length'],
    ['longer than 256', { length: 257, classes: ['lower', 'digit'] }, 'length'],
    ['of one class', { length: 20, classes: ['lower'] }, 'classes'],
    ['that names a class twice', { length: 20, classes: ['lower', 'lower'] }, 'classes'],
    ['that forbids a whole class', { length: 20, classes: ['lower', 'digit'], forbidden: '0123456789' }, 'forbidden'],
    ['that forbids what is not visible ASCII', { length: 20, classes: ['lower', 'digit'], forbidden: 'ä' }, 'forbidden'],
    ['that leaves too few characters for its length', { length: 12, classes: ['digit', 'lower'], forbidden: 'abcdefghijklmnopqrst' }, 'length'],
  ])('%s is refused', (_what, candidate, path) => {
    expect(PasswordPolicy.safeParse(candidate).error?.issues[0]?.path[0]).toBe(path)
  })

  test('with unknown fields is refused', () => {
    expect(PasswordPolicy.safeParse({ length: 20, classes: ['lower', 'digit'], minimum: 3 }).success).toBe(false)
  })
})

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { allowedCharacters, characterClasses, PasswordPolicy, passwordPresets, rulesOf, spaceOf, type PasswordRules } from '#schemas/password-policy.ts'
import { generatePassword, rulesFor } from '#secrets/password-generator.ts'

const visible = [...'!"#$%&\'()*+,-./:;<=>?@[]^_{|}~aB3xYz09']
const least = fc.option(fc.integer({ min: 1, max: 40 }), { nil: undefined })
const anyPolicy = fc.record({
  length: fc.integer({ min: 12, max: 80 }),
  classes: fc.uniqueArray(fc.constantFrom(...characterClasses), { minLength: 2, maxLength: 4 }),
  minimums: fc.option(fc.record({ lower: least, upper: least, digit: least, symbol: least }), { nil: undefined }),
  forbidden: fc.uniqueArray(fc.constantFrom(...visible), { maxLength: 30 }).map((characters) => characters.join('')),
})
const policy = anyPolicy.filter((candidate) => PasswordPolicy.safeParse(candidate).success)
const occurs = (password: string, set: readonly string[]): number => [...password].filter((character) => set.includes(character)).length

describe('a generated password', () => {
  test('has the length, every class as often as asked, and no other or forbidden character, whatever the policy', () => {
    fc.assert(
      fc.property(policy, (asked) => {
        const password = generatePassword(asked).expose()
        const sets = allowedCharacters(asked)
        expect(password).toHaveLength(asked.length)
        for (const [index, set] of sets.entries()) expect(occurs(password, set)).toBeGreaterThanOrEqual(asked.minimums?.[asked.classes[index] ?? 'lower'] ?? 1)
        expect([...password].every((character) => sets.flat().includes(character) && !asked.forbidden.includes(character))).toBe(true)
      }),
      { numRuns: 200 },
    )
  })

  test.each(Object.entries(passwordPresets))(
    'follows a valid policy by preset (%s), with more than 180 bits, in ASCII that every shell takes as it is',
    (preset, asked) => {
      expect(rulesOf(PasswordPolicy.parse({ preset }))).toMatchObject(asked)
      expect(spaceOf(asked).size).toBeGreaterThan(2n ** 180n)
      expect(generatePassword(asked).expose()).toMatch(/^[\w.,~+-]{32}$/)
    },
  )

  test('fills its length with the minimums where they leave no choice', () => {
    const asked = { length: 40, classes: ['lower', 'digit'], minimums: { lower: 13, digit: 27 } } as const
    for (let run = 0; run < 50; run += 1) expect(occurs(generatePassword(asked).expose(), [...'0123456789'])).toBe(27)
  })

  test('never comes twice', () => {
    const drawn = Array.from({ length: 1_000 }, () => generatePassword(passwordPresets.postgres).expose())
    expect(new Set(drawn).size).toBe(1_000)
  })

  test('comes from all that are allowed, each equally often', () => {
    // Three characters over a, b and 0 with at least one of each class: few enough to be counted one by one.
    const asked: PasswordRules = { length: 3, classes: ['lower', 'digit'], forbidden: 'cdefghijklmnopqrstuvwxyz123456789' }
    const expected = [...'ab0'].flatMap((a) => [...'ab0'].flatMap((b) => [...'ab0'].map((c) => a + b + c))).filter((word) => /\d/.test(word) && /\D/.test(word))
    const counts = new Map<string, number>()
    for (let run = 0; run < 18_000; run += 1) {
      const word = generatePassword(asked).expose()
      counts.set(word, (counts.get(word) ?? 0) + 1)
    }
    expect([...counts.keys()].sort()).toEqual(expected.sort())
    const mean = 18_000 / expected.length
    // 17 degrees of freedom: a fair generator passes all but once in ten million runs.
    expect([...counts.values()].reduce((sum, count) => sum + (count - mean) ** 2 / mean, 0)).toBeLessThan(65)
  })

  test('uses every character equally often', () => {
    const asked = { length: 64, classes: ['lower', 'digit'] as const }
    const counts = new Map<string, number>()
    for (let run = 0; run < 1_600; run += 1) {
      for (const character of generatePassword({ ...asked, classes: [...asked.classes] }).expose()) counts.set(character, (counts.get(character) ?? 0) + 1)
    }
    const expected = (1_600 * 64) / 36
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
    ['without a length', { classes: ['lower', 'digit'] }, 'length'],
    ['without classes', { length: 20 }, 'classes'],
    ['of a preset that is none', { preset: 'mainframe' }, 'preset'],
    ['whose minimums are longer than it', { length: 20, classes: ['lower', 'digit'], minimums: { lower: 11, digit: 10 } }, 'minimums'],
    ['with a minimum of a class that it does not have', { length: 20, classes: ['lower', 'digit'], minimums: { symbol: 1 } }, 'minimums'],
    ['whose preset asks for more than its own length takes', { preset: 'linux', length: 12, minimums: { digit: 10 } }, 'minimums'],
    ['that asks for digits only, but for one', { length: 16, classes: ['lower', 'digit'], minimums: { digit: 15 } }, 'length'],
    ['that leaves too few characters for its length', { length: 12, classes: ['digit', 'lower'], forbidden: 'abcdefghijklmnopqrst' }, 'length'],
  ])('%s is refused', (_what, candidate, path) => {
    expect(PasswordPolicy.safeParse(candidate).error?.issues[0]?.path[0]).toBe(path)
  })

  test('by preset may be made longer, or forbid more', () => {
    const asked = { preset: 'linux', length: 64, forbidden: '.-_,+~!#$%&()*/:;<=>?@[]^{|' } as const
    expect(rulesOf(PasswordPolicy.parse(asked))).toEqual({ ...passwordPresets.linux, length: 64, forbidden: asked.forbidden })
    expect(rulesOf(PasswordPolicy.parse({ preset: 'linux', classes: ['lower', 'digit'] }))?.minimums).toEqual({ lower: 2, digit: 2 })
  })

  test('of the identity comes before what the target takes; several targets get what all of them take', () => {
    const own = { length: 20, classes: ['lower' as const, 'digit' as const] }
    expect(rulesFor('password', own, ['postgres'])).toMatchObject(own)
    expect(rulesFor('password', null, ['ssh'])).toBe(passwordPresets.linux)
    expect(rulesFor('password', null, ['mysql'])).toBe(passwordPresets.mysql)
    expect(rulesFor('password', null, [])).toBe(passwordPresets.postgres)
    expect(rulesFor('password', null, ['postgres', 'ssh'])).toBe(passwordPresets.ldap)
    expect(rulesFor('api_key', null, [])).toMatchObject({ length: 48, classes: ['lower', 'upper', 'digit'] })
  })

  test('with unknown fields is refused', () => {
    expect(PasswordPolicy.safeParse({ length: 20, classes: ['lower', 'digit'], minimum: 3 }).success).toBe(false)
  })
})

import { describe, expect, test } from 'vitest'
import { judgeUse, type AskedUse, type OpenUse } from '#schemas/rules/use.ts'

const end = new Date('2027-01-31T09:00:00.000Z')
const open = (more: Partial<OpenUse> = {}): OpenUse => ({ binding: 'jkt:a', maxUses: 5, uses: 1, expiresAt: end, policyVersion: 3, ...more })
const asked = (more: Partial<AskedUse> = {}): AskedUse => ({ binding: 'jkt:a', maxUses: 5, policyVersion: 3, tokenUsed: false, loginDecided: true, ...more })
const at = (ms: number): Date => new Date(end.getTime() + ms)
const refused = (code: string) => ({ kind: 'refuse', code, until: end })

describe('the time of a decision', () => {
  test.each([
    [-1, 'count'],
    [0, 'renew'],
    [1, 'renew'],
  ])('at %i ms of its end by the clock of the server: %s', (ms, kind) => {
    expect(judgeUse(open(), asked(), at(ms))).toEqual({ kind })
  })
  test('that is over frees whoever was refused within it', () => {
    const exhausted = open({ uses: 5 })
    expect(judgeUse(exhausted, asked(), at(-1))).toEqual(refused('uses-exhausted'))
    expect(judgeUse(exhausted, asked(), at(0))).toEqual({ kind: 'renew' })
    expect(judgeUse(open(), asked({ binding: 'jkt:b' }), at(0))).toEqual({ kind: 'renew' })
  })
})

describe('within it', () => {
  const now = at(-1_000)
  test('uses are counted up to the maximum, then a login that was decided for is refused and a later one gets a fresh decision', () => {
    expect(judgeUse(open({ uses: 4 }), asked(), now)).toEqual({ kind: 'count' })
    expect(judgeUse(open({ uses: 5 }), asked(), now)).toEqual(refused('uses-exhausted'))
    expect(judgeUse(open({ uses: 5 }), asked({ loginDecided: false }), now)).toEqual({ kind: 'renew' })
  })
  test('without a maximum all are counted', () => {
    expect(judgeUse(open({ maxUses: null, uses: 1_000_000 }), asked({ maxUses: null }), now)).toEqual({ kind: 'count' })
  })
  test('what this request would be allowed counts too: the stricter of both', () => {
    expect(judgeUse(open({ maxUses: 1_000, uses: 1 }), asked({ maxUses: 1 }), now)).toEqual(refused('uses-exhausted'))
    expect(judgeUse(open({ maxUses: null, uses: 4 }), asked({ maxUses: 5 }), now)).toEqual({ kind: 'count' })
  })
  test('another set of policies needs a decision of its own', () => {
    for (const policyVersion of [null, 4]) expect(judgeUse(open({ uses: 5 }), asked({ policyVersion }), now)).toEqual({ kind: 'renew' })
  })
  test('another key is refused, whatever is left and whatever token it brings', () => {
    for (const uses of [1, 5])
      for (const loginDecided of [true, false]) {
        expect(judgeUse(open({ uses }), asked({ binding: 'none', loginDecided }), now)).toEqual(refused('binding-changed'))
      }
  })
  test('a token that counts once is refused the second time', () => {
    expect(judgeUse(open(), asked({ tokenUsed: true }), now)).toEqual(refused('token-used-before'))
  })
  test('nothing open means a fresh decision', () => {
    expect(judgeUse(undefined, asked(), now)).toEqual({ kind: 'renew' })
  })
})

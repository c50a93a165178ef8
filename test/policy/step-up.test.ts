import { expect, test } from 'vitest'
import { missingLogin } from '#policy/step-up.ts'

const order = ['pwd', 'mfa', 'phr']
const now = 1_800_000_000
const login = (acr?: string, age?: number) => ({ acr, authTime: age === undefined ? undefined : now - age })
const strong = { acr: 'mfa', maxAgeSeconds: null }
const fresh = { acr: null, maxAgeSeconds: 300 }

test.each([
  ['any login does where nothing is asked', { acr: null, maxAgeSeconds: null }, login(), undefined],
  ['the context that is asked for does', strong, login('mfa'), undefined],
  ['a stronger one does', strong, login('phr'), undefined],
  ['a weaker one does not', strong, login('pwd'), { acrValues: 'mfa' }],
  ['none does not', strong, login(), { acrValues: 'mfa' }],
  ['one that nobody knows does not', strong, login('MFA'), { acrValues: 'mfa' }],
  ['nothing is enough for a context that nobody knows', { acr: 'x', maxAgeSeconds: null }, login('phr'), { acrValues: 'x' }],
  ['a login at the age does', fresh, login('pwd', 300), undefined],
  ['a second older does not', fresh, login('pwd', 301), { maxAgeSeconds: 300 }],
  ['one without a time does not', fresh, login('phr'), { maxAgeSeconds: 300 }],
  ['both are told when either is missing', { acr: 'mfa', maxAgeSeconds: 300 }, login('mfa', 301), { acrValues: 'mfa', maxAgeSeconds: 300 }],
] as const)('%s', (_, rule, given, missing) => {
  expect(missingLogin(rule, given, order, now)).toEqual(missing)
})

import { createSecretKey, randomBytes, randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { AccessRequestId, AccountId, UserId } from '#schemas/ids.ts'
import { readDecisionLink, signDecisionLink, type DecisionLink } from '#secrets/decision-link.ts'

const key = createSecretKey(randomBytes(32))
const link: DecisionLink = {
  accountId: AccountId.parse(randomUUID()),
  requestId: AccessRequestId.parse(randomUUID()),
  version: 3,
  verdict: 'approve',
  userId: UserId.parse(randomUUID()),
}

describe('the token of a decision link', () => {
  test('says what was signed', () => {
    expect(readDecisionLink(key, signDecisionLink(key, link))).toEqual(link)
  })

  test('is none with anything changed, cut, added, or signed by another key', () => {
    const token = signDecisionLink(key, link)
    const [payload = '', mac = ''] = token.split('.')
    const forged = Buffer.from(Buffer.from(payload, 'base64url').toString().replace('approve', 'deny')).toString('base64url')
    const others = [
      `${forged}.${mac}`,
      payload,
      `${payload}.`,
      `${token}.`,
      `.${mac}`,
      '',
      '.',
      token.slice(0, -1),
      signDecisionLink(createSecretKey(randomBytes(32)), link),
    ]
    for (const other of others) expect([other, readDecisionLink(key, other)]).toEqual([other, undefined])
  })
})

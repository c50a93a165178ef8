import { describe, expect, test } from 'vitest'
import { askEngine, engineGeneration } from '#policy/cedar-engine.ts'
import { readPolicies } from '#policy/cedar-policies.ts'
import { createCedarDecisionPoint, decideOnce } from '#policy/cedar.ts'
import type { AccessQuestion } from '#schemas/decision.ts'
import { AccountId, UserId } from '#schemas/ids.ts'

const accountId = AccountId.parse('00000000-0000-7000-8000-000000000009')
const question: AccessQuestion = {
  subject: { type: 'user', id: UserId.parse('00000000-0000-7000-8000-000000000004'), properties: { owner: false, email: null, groupIds: [] } },
  action: { name: 'me.read' },
  resource: { type: 'account', id: accountId, parents: [] },
  context: { purpose: 'read', now: new Date(), senderConstrained: true },
}
const when = (expression: string): string => `permit (principal, action, resource) when { ${expression} };`
const times = (text: string, count: number, between = ''): string => Array.from({ length: count }, () => text).join(between)

/** Shapes that grow, and how far each is let. */
const shapes: readonly [name: string, most: number, grow: (size: number) => string][] = [
  ['brackets', 22, (size) => when(`${times('(', size)}true${times(')', size)}`)],
  ['or', 120, (size) => when(times('context.senderConstrained', size, ' || '))],
  ['sum', 120, (size) => when(`${times('1', size, ' + ')} > 0`)],
  ['else', 118, (size) => when(`${times('if true then true else ', size)}true`)],
  ['conditions', 118, (size) => `permit (principal, action, resource)${times(' unless { false }', size)};`],
  ['calls', 100, (size) => when(`context.now${times('.toDate()', size)} == context.now`)],
  ['members', 230, (size) => when(`context${times('.senderConstrained', size)}`)],
  ['indices', 230, (size) => when(`context${times('["senderConstrained"]', size)}`)],
]

describe('a policy', () => {
  test.each(shapes)('of many %s is read and judged without harm up to the limit, and refused beyond', (_, most, grow) => {
    const before = engineGeneration()
    const read = readPolicies(grow(most), ['mfa'])
    if (!('faults' in read)) decideOnce(read, question)
    else expect(read.faults[0]?.message).not.toContain('must')
    for (const size of [400, 5_000]) {
      const beyond = readPolicies(grow(size), ['mfa'])
      expect('faults' in beyond && beyond.faults[0]?.message).toMatch(/^must (have at most|not be nested)/)
    }
    expect(engineGeneration()).toBe(before)
  })

  test('may name thousands of values in a set', () => {
    const read = readPolicies(when(`principal in [${times('Group::"00000000-0000-7000-8000-000000000001"', 1_000, ', ')}]`), ['mfa'])
    expect('faults' in read).toBe(false)
  })
})

test('an engine that traps is thrown away: who caused it is told, and nobody else is denied anything', async () => {
  const point = createCedarDecisionPoint(async () => when('true'), ['mfa'])
  const ask = async () => (await point.decide(question, { accountId, version: 1 })).permit
  expect(await ask()).toBe(true)
  const before = engineGeneration()
  expect(() => askEngine((cedar) => cedar.policySetTextToParts(when(`${times('(', 5_000)}true${times(')', 5_000)}`)))).toThrow()
  expect(engineGeneration()).toBe(before + 1)
  expect(await ask()).toBe(true)
})

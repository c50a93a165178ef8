import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AccessRequestFacts } from '#schemas/access-request-facts.ts'
import { nextAccessRequestStep, type AccessRequestStep } from '#workflows/access-request-step.ts'
import { idleLook } from '#workflows/lease-step.ts'
import { minute } from './facts.ts'

const facts = (fields: Partial<AccessRequestFacts>): AccessRequestFacts =>
  ({
    vaultId: randomUUID(),
    identityId: randomUUID(),
    state: 'pending',
    version: 1,
    openedAt: '2026-01-01T00:00:00.000Z',
    expiresAt: '2026-01-01T01:00:00.000Z',
    remainingMs: 60 * minute,
    escalationMs: null,
    ...fields,
  }) as AccessRequestFacts

describe('the next step of an access request', () => {
  test.each<[promise: string, fields: Partial<AccessRequestFacts>, step: AccessRequestStep]>([
    ['a pending one is waited for until its last moment', {}, { do: 'wait', ms: 60 * minute }],
    ['one that escalates is waited for until then', { escalationMs: 20 * minute }, { do: 'wait', ms: 20 * minute }],
    ['others are asked when it is time', { escalationMs: 0 }, { do: 'escalate' }],
    ['nobody is asked any more when it is over', { escalationMs: 0, remainingMs: 0 }, { do: 'expire' }],
    ['an approved one expires too when it is not used', { state: 'approved', remainingMs: 0 }, { do: 'expire' }],
    ['one that waits 14 days is looked at every day', { remainingMs: 14 * idleLook }, { do: 'wait', ms: idleLook }],
    ...(['denied', 'expired', 'cancelled', 'used'] as const).map((state): [string, Partial<AccessRequestFacts>, AccessRequestStep] => [
      `a ${state} one is finished`,
      { state, remainingMs: 0 },
      { do: 'finish' },
    ]),
  ])('%s', (_, fields, step) => {
    expect(nextAccessRequestStep(facts(fields))).toEqual(step)
  })

  test('never waits past the moment at which something is due', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 43_200 * minute }), fc.option(fc.integer({ min: 1, max: 43_200 * minute })), (remainingMs, escalationMs) => {
        const step = nextAccessRequestStep(facts({ remainingMs, escalationMs }))
        expect(step.do === 'wait' && step.ms <= Math.max(50, Math.min(remainingMs, escalationMs ?? remainingMs))).toBe(true)
      }),
    )
  })
})

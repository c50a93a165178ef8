import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RotationId } from '#schemas/ids.ts'
import { afterVerb, turnOf, type TurnFacts } from '#schemas/rules/rotation-campaign.ts'

const id = RotationId.parse('0193c3a0-0000-7000-8000-000000000001')
const facts = (fields: Partial<TurnFacts> = {}): TurnFacts => ({
  deleted: false,
  moved: false,
  state: 'active',
  hosts: 1,
  unchangeable: false,
  versionBefore: 4,
  rotation: null,
  ...fields,
})
const open = (stagedVersion: number | null) => ({ rotation: { id, open: true, stagedVersion } })
const made = (stagedVersion: number) => ({ rotation: { id, open: false, stagedVersion } })

describe('the turn of an identity', () => {
  test.each<[string, Partial<TurnFacts>, object]>([
    ['nothing is rotating: it begins', {}, { do: 'begin' }],
    ['a rotation without a value does it', open(null), { do: 'join', rotationId: id }],
    ['a rotation with a later value does it', open(5), { do: 'join', rotationId: id }],
    ['a rotation with a value from before is waited for', open(4), { do: 'wait' }],
    ['a later value is the present one', made(5), { do: 'confirm', rotationId: id }],
    ['the present value is from before', made(4), { do: 'begin' }],
    ['deleted', { deleted: true, state: 'disabled', ...open(null) }, { do: 'skip', reason: 'deleted' }],
    ['moved to another organization', { moved: true, ...open(null) }, { do: 'skip', reason: 'moved' }],
    ['disabled', { state: 'disabled', ...open(null) }, { do: 'skip', reason: 'identity-disabled' }],
    ['enrolling', { state: 'enrolling', ...open(null) }, { do: 'skip', reason: 'enrolling' }],
    ['without hosts', { hosts: 0, ...open(4) }, { do: 'skip', reason: 'identity-has-no-hosts' }],
    ['of a type that a host cannot change', { unchangeable: true }, { do: 'skip', reason: 'credential-not-rotatable' }],
  ])('%s', (_, fields, turn) => {
    expect(turnOf(facts(fields))).toEqual(turn)
  })

  test('never lets a value from before pass for a later one', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 9 }), fc.option(fc.integer({ min: 0, max: 9 })), fc.boolean(), (versionBefore, stagedVersion, isOpen) => {
        const turn = turnOf(facts({ versionBefore, rotation: { id, open: isOpen, stagedVersion } }))
        if (stagedVersion !== null && stagedVersion <= versionBefore) expect(['wait', 'begin']).toContain(turn.do)
      }),
    )
  })
})

describe('a campaign', () => {
  test.each([
    ['running', 'pause', 'paused'],
    ['running', 'resume', 'same'],
    ['running', 'abort', 'aborting'],
    ['paused', 'pause', 'same'],
    ['paused', 'resume', 'running'],
    ['paused', 'abort', 'aborting'],
    ['aborting', 'pause', 'over'],
    ['aborting', 'resume', 'over'],
    ['aborting', 'abort', 'same'],
    ['completed', 'pause', 'over'],
    ['completed', 'resume', 'over'],
    ['completed', 'abort', 'over'],
    ['aborted', 'pause', 'over'],
    ['aborted', 'resume', 'over'],
    ['aborted', 'abort', 'over'],
  ] as const)('that is %s and told to %s: %s', (state, verb, next) => {
    expect(afterVerb(state, verb)).toBe(next)
  })
})

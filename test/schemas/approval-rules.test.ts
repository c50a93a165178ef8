import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { progressOf, stepsFor, unreachable, type Approval, type ApprovalStep } from '#schemas/rules/approval.ts'

const step = (needed: number, people: string): ApprovalStep => ({ needed, people: new Set(people) })
const by = (userId: string, of = 0): Approval => ({ userId, step: of })

describe('approvals', () => {
  test.each<[promise: string, steps: ApprovalStep[], approvals: Approval[], given: number[], current: number | null]>([
    ['nobody has agreed: the first step is asked', [step(1, 'a'), step(1, 'b')], [], [0, 0], 0],
    ['one person counts once, however often they agree', [step(2, 'ab')], [by('a'), by('a')], [1], 0],
    ['one person counts once over all steps', [step(1, 'ab'), step(1, 'ab')], [by('a'), by('a', 1)], [1, 0], 1],
    ['who may no longer approve does not count', [step(1, 'b')], [by('a')], [0], 0],
    ['a step that has lost an approval is asked again, although a later one has enough', [step(1, 'c'), step(1, 'b')], [by('a'), by('b', 1)], [0, 1], 0],
    ['an approval of one step is none of another', [step(1, 'a'), step(1, 'b')], [by('b', 0)], [0, 0], 0],
    ['enough people in every step is enough', [step(2, 'abc'), step(1, 'd')], [by('a'), by('c'), by('d', 1)], [2, 1], null],
  ])('%s', (_, steps, approvals, given, current) => {
    expect(progressOf(steps, approvals)).toEqual({ given, current })
  })

  test('the requester is none of the approvers, and what a policy wants beyond the steps the last of them asks for', () => {
    expect(stepsFor([step(1, 'ab'), step(1, 'bc')], 'b', 4)).toEqual([step(1, 'a'), step(3, 'c')])
    expect(stepsFor([step(2, 'abc')], 'z', 1)).toEqual([step(2, 'abc')])
  })
})

const anySteps = fc.array(
  fc.record({ needed: fc.integer({ min: 1, max: 3 }), people: fc.uniqueArray(fc.constantFrom(...'abcde'), { maxLength: 5 }).map((list) => new Set(list)) }),
  { minLength: 1, maxLength: 3 },
)

describe('the people who may approve', () => {
  test.each<[steps: ApprovalStep[], short: number]>([
    [[step(2, 'ab')], 0],
    [[step(2, 'a')], 1],
    [[step(1, 'ab'), step(1, 'a')], 0],
    [[step(1, 'ab'), step(2, 'ab')], 1],
    [[step(1, 'ab'), step(1, 'ac'), step(1, 'a')], 0],
    [[step(3, '')], 3],
  ])('case %#: %j lack %i', (steps, short) => {
    expect(unreachable(steps)).toBe(short)
  })

  test('are enough exactly when some choice of approvals completes every step', () => {
    /** Tries everything. */
    const reachable = (steps: readonly ApprovalStep[], used: ReadonlySet<string> = new Set()): boolean => {
      const [first, ...rest] = steps
      if (first === undefined) return true
      const choose = (left: number, taken: ReadonlySet<string>): boolean =>
        left === 0 ? reachable(rest, taken) : [...first.people].some((person) => !taken.has(person) && choose(left - 1, new Set([...taken, person])))
      return choose(first.needed, used)
    }
    fc.assert(
      fc.property(anySteps, (steps) => {
        expect(unreachable(steps) === 0).toBe(reachable(steps))
      }),
      { numRuns: 300 },
    )
  })

  test('never count for more than they are: as many different people have agreed as all steps need', () => {
    const anyApproval = fc.record({ userId: fc.constantFrom(...'abcde'), step: fc.integer({ min: 0, max: 2 }) })
    fc.assert(
      fc.property(anySteps, fc.array(anyApproval, { maxLength: 12 }), (steps, approvals) => {
        const { given, current } = progressOf(steps, approvals)
        const able = new Set(approvals.filter(({ userId, step: of }) => steps[of]?.people.has(userId)).map(({ userId }) => userId))
        expect(given.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(able.size)
        if (current === null) expect(able.size).toBeGreaterThanOrEqual(steps.reduce((sum, { needed }) => sum + needed, 0))
      }),
      { numRuns: 500 },
    )
  })
})

import { expect, test } from 'vitest'
import type { ApprovalSettings } from '#schemas/approval-policy.ts'
import { isLooser } from '#schemas/rules/approval-policy.ts'

const [ann, bob] = ['01980000-0000-7000-8000-00000000000a', '01980000-0000-7000-8000-00000000000b'].map((id) => ({ type: 'user', id }) as const) as [
  Person,
  Person,
]
type Person = { readonly type: 'user'; readonly id: string }
const holders = { type: 'permission' } as const
const hours = (from: string) => [{ days: ['mon' as const], from, to: '18:00', timeZone: 'UTC' }]
const base: ApprovalSettings = {
  required: true,
  steps: [{ approvers: [ann, bob], needed: 1 }],
  timeoutMinutes: 60,
  validityMinutes: 60,
  maximumMinutes: 60,
  escalation: { afterMinutes: 30, approvers: [ann, bob] },
  windows: hours('08:00'),
}

test.each<[change: string, after: Partial<ApprovalSettings>]>([
  ['required no more', { required: false }],
  ['fewer people needed', { steps: [{ approvers: [ann, bob], needed: 0 }] }],
  ['other people', { steps: [{ approvers: [ann, holders], needed: 1 }] }],
  ['no step', { steps: [] }],
  ['a longer use', { validityMinutes: 61 }],
  ['a longer lease', { maximumMinutes: 61 }],
  ['a lease of any length', { maximumMinutes: null }],
  ['an earlier escalation', { escalation: { afterMinutes: 29, approvers: [ann] } }],
  ['an escalation to others', { escalation: { afterMinutes: 30, approvers: [holders] } }],
  ['other hours', { windows: hours('09:00') }],
  ['any hours', { windows: [] }],
])('a policy with %s is looser', (_, after) => {
  expect(isLooser(base, { ...base, ...after })).toBe(true)
})

test.each<[change: string, after: Partial<ApprovalSettings>]>([
  ['nothing else', {}],
  ['more people needed, of fewer', { steps: [{ approvers: [bob], needed: 2 }] }],
  ['one more step', { steps: [...base.steps, { approvers: [holders], needed: 1 }] }],
  ['a shorter use and lease', { validityMinutes: 30, maximumMinutes: 30 }],
  ['a later escalation', { escalation: { afterMinutes: 31, approvers: [ann] } }],
  ['no escalation', { escalation: null }],
  ['more time for the approvers', { timeoutMinutes: 120 }],
])('a policy with %s is not', (_, after) => {
  expect(isLooser(base, { ...base, ...after })).toBe(false)
})

test('a policy with an escalation or without hours of its own', () => {
  const plain = { ...base, escalation: null, windows: [] }
  expect([isLooser(plain, base), isLooser({ ...plain, escalation: base.escalation }, base)]).toEqual([true, false])
})

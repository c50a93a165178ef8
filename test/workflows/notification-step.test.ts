import { expect, test } from 'vitest'
import type { NoticeFacts } from '#schemas/notice-facts.ts'
import { idleLook } from '#workflows/lease-step.ts'
import { nextNotificationStep, widest } from '#workflows/notification-step.ts'

const facts = (...dueInMs: number[]): NoticeFacts => ({
  noticeId: 'n',
  kind: 'break_glass.opened',
  severity: 'critical',
  delivered: 0,
  failed: 0,
  pending: dueInMs.map((ms, index) => ({ deliveryId: `d${index}`, attempts: 0, dueInMs: ms })),
})
const nobody = new Set<string>()

test('nothing left to send is the end', () => {
  expect(nextNotificationStep(facts(), nobody)).toEqual({ send: [], waitMs: null })
})

test('everything that is due is sent at once, and the next one is waited for', () => {
  expect(nextNotificationStep(facts(0, 4_000, 0, 2_000), nobody)).toEqual({ send: ['d0', 'd2'], waitMs: 2_000 })
})

test('what is on its way is not sent a second time, and keeps nobody waiting', () => {
  expect(nextNotificationStep(facts(0, 0, 1), new Set(['d0']))).toEqual({ send: ['d1'], waitMs: 50 })
  expect(nextNotificationStep(facts(0), new Set(['d0']))).toEqual({ send: [], waitMs: idleLook })
})

test('a crowd goes in turns', () => {
  const many = facts(...Array<number>(widest + 5).fill(0))
  expect(nextNotificationStep(many, nobody).send).toHaveLength(widest)
  expect(nextNotificationStep(many, new Set(['d0', 'd1'])).send).toHaveLength(widest - 2)
})

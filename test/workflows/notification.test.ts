import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { NotificationActivities } from '#activities/notification.ts'
import type { ReencryptionActivities } from '#activities/reencryption.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import { OrganizationId } from '#schemas/ids.ts'
import type { NoticeFacts } from '#schemas/notice-facts.ts'
import { giveUpAfter, pauseAfterAttempts } from '#schemas/rules/notification.ts'
import type { Subject } from '#workflows/messages.ts'
import { createClock, createLab, until, type Lab } from './lab.ts'

/** Notices in memory, with the rules of their rows that the workflow depends on. */
interface Delivery {
  state: 'pending' | 'delivered' | 'failed'
  attempts: number
  nextAt: number
}

const clock = createClock()
const notices = new Map<string, { readonly raisedAt: number; readonly deliveries: Map<string, Delivery> }>()
/** What a receiver does with an attempt: takes it, refuses it, or hangs until it is let go. */
const behaviour = new Map<string, 'take' | 'refuse' | 'die' | Promise<void>>()
let failures = 0

function raise(...how: ('take' | 'refuse' | 'die' | Promise<void>)[]): { readonly subject: Subject; readonly ids: readonly string[] } {
  const deliveries = new Map<string, Delivery>()
  const ids = how.map((each) => {
    const id = randomUUID()
    behaviour.set(id, each)
    deliveries.set(id, { state: 'pending', attempts: 0, nextAt: clock.now() })
    return id
  })
  const subject = { accountId: randomUUID(), subjectId: randomUUID() }
  notices.set(subject.subjectId, { raisedAt: clock.now(), deliveries })
  return { subject, ids }
}
const of = ({ subjectId }: Subject) => {
  const found = notices.get(subjectId)
  if (found === undefined) throw new LeaseholdError('not-found')
  return found
}
const stateOf = (subject: Subject, id: string | undefined) => of(subject).deliveries.get(id ?? '')

const activities: NotificationActivities & ReencryptionActivities = {
  lookAtNotice: async (subject): Promise<NoticeFacts> => {
    if (failures > 0) {
      failures -= 1
      throw new LeaseholdError('dependency-unavailable', { role: 'postgres' })
    }
    const all = [...of(subject).deliveries]
    const count = (state: Delivery['state']) => all.filter(([, delivery]) => delivery.state === state).length
    const pending = all.filter(([, { state }]) => state === 'pending')
    return {
      noticeId: subject.subjectId,
      kind: 'break_glass.opened',
      severity: 'critical',
      delivered: count('delivered'),
      failed: count('failed'),
      pending: pending.map(([deliveryId, { attempts, nextAt }]) => ({ deliveryId, attempts, dueInMs: Math.max(0, Math.ceil(nextAt - clock.now())) })),
    }
  },
  deliverNotice: async (subject, deliveryId) => {
    const { raisedAt, deliveries } = of(subject)
    const delivery = deliveries.get(deliveryId)
    if (delivery === undefined || delivery.state !== 'pending' || delivery.nextAt > clock.now()) return
    delivery.attempts += 1
    // Held, as by a claim.
    delivery.nextAt = clock.now() + 30_000
    const how = behaviour.get(deliveryId)
    if (how === 'die') throw new Error('the worker dies')
    if (how instanceof Promise) await how
    const pause = pauseAfterAttempts(delivery.attempts)
    if (how !== 'refuse') delivery.state = 'delivered'
    else if (clock.now() + pause > raisedAt + giveUpAfter) delivery.state = 'failed'
    delivery.nextAt = clock.now() + pause
  },
  lookAtReencryption: async () => ({ organizationId: OrganizationId.parse(randomUUID()), toVersion: 2, state: 'running' }),
  resealPage: async () => ({ resealed: 0, next: null }),
  finishReencryption: async () => {},
}

let lab: Lab
beforeAll(async () => {
  lab = await createLab(activities)
}, 60_000)
afterAll(() => lab?.stop())

describe('the workflow of a notice', () => {
  test('sends every message at once and is over', async () => {
    const { subject, ids } = raise('take', 'take', 'take')
    const id = await lab.poke('notification', subject)
    expect(await lab.ended(id)).toBe('COMPLETED')
    expect(ids.map((each) => stateOf(subject, each))).toMatchObject(Array(3).fill({ state: 'delivered', attempts: 1 }))
    await lab.record('notification-delivered', id)
  }, 30_000)

  test('tries again what was refused, with the others long delivered', async () => {
    const { subject, ids } = raise('take', 'refuse')
    const id = await lab.poke('notification', subject)
    await until(() => (stateOf(subject, ids[1])?.attempts ?? 0) >= 2)
    expect(stateOf(subject, ids[0])?.state).toBe('delivered')
    behaviour.set(ids[1] ?? '', 'take')
    expect(await lab.ended(id)).toBe('COMPLETED')
    expect(stateOf(subject, ids[1])?.state).toBe('delivered')
    await lab.record('notification-retried', id)
  }, 30_000)

  test('lets one that hangs keep nobody waiting: not the first attempts, and not the second ones', async () => {
    let letGo = () => {}
    const hanging = new Promise<void>((resolve) => {
      letGo = resolve
    })
    const { subject, ids } = raise(hanging, 'refuse', 'take')
    const id = await lab.poke('notification', subject)
    await until(() => (stateOf(subject, ids[1])?.attempts ?? 0) >= 2)
    behaviour.set(ids[1] ?? '', 'take')
    await until(() => stateOf(subject, ids[1])?.state === 'delivered')
    expect(ids.map((each) => stateOf(subject, each)?.state)).toEqual(['pending', 'delivered', 'delivered'])
    letGo()
    expect(await lab.ended(id)).toBe('COMPLETED')
    await lab.record('notification-one-hangs', id)
  }, 40_000)

  test('leaves hands for everything else, however many receivers hang', async () => {
    let letGo = () => {}
    const hanging = new Promise<void>((resolve) => {
      letGo = resolve
    })
    const notices = Array.from({ length: 8 }, () => raise(...Array<Promise<void>>(20).fill(hanging)))
    const workflows = await Promise.all(notices.map(({ subject }) => lab.poke('notification', subject)))
    const tried = () => notices.flatMap(({ subject, ids }) => ids.filter((each) => stateOf(subject, each)?.attempts === 1)).length
    await until(() => tried() === 100)
    const other = await lab.poke('reencryption', { accountId: randomUUID(), subjectId: randomUUID() })
    expect(await lab.ended(other)).toBe('COMPLETED')
    expect(tried()).toBe(100)
    letGo()
    for (const id of workflows) expect(await lab.ended(id)).toBe('COMPLETED')
    expect(tried()).toBe(160)
  }, 40_000)

  test('finds a message again whose sender died', async () => {
    const { subject, ids } = raise('die')
    const id = await lab.poke('notification', subject)
    await until(() => stateOf(subject, ids[0])?.attempts === 1)
    behaviour.set(ids[0] ?? '', 'take')
    await lab.pass(id, clock, 31_000)
    expect(await lab.ended(id)).toBe('COMPLETED')
    expect(stateOf(subject, ids[0])).toMatchObject({ state: 'delivered', attempts: 2 })
    await lab.record('notification-sender-died', id)
  }, 30_000)

  test('is over when the last message was given up', async () => {
    const { subject, ids } = raise('refuse', 'take')
    notices.set(subject.subjectId, { ...of(subject), raisedAt: clock.now() - giveUpAfter })
    const id = await lab.poke('notification', subject)
    expect(await lab.ended(id)).toBe('COMPLETED')
    expect(ids.map((each) => stateOf(subject, each)?.state)).toEqual(['failed', 'delivered'])
    await lab.record('notification-given-up', id)
  }, 30_000)

  test('looks again until PostgreSQL answers', async () => {
    const { subject } = raise('take')
    failures = 3
    const id = await lab.poke('notification', subject)
    expect(await lab.ended(id)).toBe('COMPLETED')
    await lab.record('notification-database-down', id)
  }, 30_000)
})

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { LeaseholdError, type ErrorCode } from '#schemas/errors.ts'
import type { JobFacts, RotationFacts } from '#schemas/rotation-facts.ts'
import type { Activities } from '#server/temporal-worker.ts'
import type { Subject } from '#workflows/messages.ts'
import { jobFacts, minute, rotationFacts } from './facts.ts'
import { createClock, createLab, until, type Lab } from './lab.ts'

/** Rotations as their rows would be; the deciding transactions are the store's, here only what the workflow asks of them. */
const rows = new Map<string, RotationFacts>()
const done: string[] = []
const told: string[] = []
/** What time adds to the facts of a rotation. */
const looks = new Map<string, (facts: RotationFacts) => RotationFacts>()
/** Why no value can be made for a rotation. */
const refusals = new Map<string, ErrorCode>()
const of = ({ subjectId }: Subject): RotationFacts => rows.get(subjectId) ?? expect.unreachable('no such rotation')
const change = (subject: Subject, fields: Partial<RotationFacts>): void => void rows.set(subject.subjectId, { ...of(subject), ...fields })
const job = (subject: Subject, fields: Partial<JobFacts>, more: Partial<RotationFacts> = {}): void =>
  change(subject, { jobs: [{ ...(of(subject).jobs[0] ?? jobFacts()), ...fields }], ...more })

let pages = 0
const activities: Partial<Activities> = {
  lookAtRotation: async (subject) => (looks.get(subject.subjectId) ?? ((facts) => facts))(of(subject)),
  stageRotation: async (subject) => {
    const refusal = refusals.get(subject.subjectId)
    if (refusal !== undefined) throw new LeaseholdError(refusal)
    change(subject, { stagedVersion: 2, phase: 'staged' })
  },
  openRotationJobs: async (subject) => change(subject, { phase: 'waiting', jobs: [jobFacts()] }),
  lapseClaim: async (subject) => job(subject, { state: 'doubt', kind: 'probe', claimRemainingMs: null, doubtForMs: 0 }, { phase: 'in_doubt' }),
  raiseRotationAttention: async (subject) => change(subject, { needsAttention: true }),
  tellRotationStuck: async (subject) => {
    told.push(subject.subjectId)
    change(subject, { stuckInMs: null })
  },
  settleRotation: async (subject) =>
    change(subject, { state: of(subject).jobs.every(({ state }) => state === 'confirmed') ? 'confirmed' : 'failed', phase: 'done' }),
  sweepDueRotations: async (after) => ({
    begun: 2,
    busy: busy.pop() ?? 0,
    failed: 0,
    next: after === null ? { dueAt: '2026-01-01 00:00:00+00', identityId: randomUUID() } : null,
  }),
  sweepDueChecks: async (after) => ({
    begun: 3,
    busy: 0,
    failed: 0,
    next: after === null ? { dueAt: '2026-01-01 00:00:00+00', identityId: randomUUID() } : null,
  }),
  lookAtReencryption: async () => ({ organizationId: randomUUID() as never, toVersion: 2, state: 'running' }),
  resealPage: async (_, after) => {
    pages += 1
    return { resealed: pages > 3 ? 0 : 50, next: after === null && pages < 3 ? ({ identityId: randomUUID(), version: 1 } as never) : null }
  },
  finishReencryption: async ({ subjectId }) => void done.push(subjectId),
}

/** What the next pages of the sweep pass over, the last one first. */
const busy: number[] = []
let lab: Lab
beforeAll(async () => {
  lab = await createLab(activities)
}, 60_000)
afterAll(() => lab.stop())

async function begin(): Promise<{ readonly subject: Subject; readonly id: string }> {
  const subject = { accountId: randomUUID(), subjectId: randomUUID() }
  rows.set(subject.subjectId, rotationFacts())
  const id = await lab.poke('rotation', subject)
  await until(() => of(subject).phase === 'waiting')
  return { subject, id }
}
const news = async (subject: Subject, fields: Partial<JobFacts>, more: Partial<RotationFacts> = {}): Promise<void> => {
  job(subject, fields, more)
  await lab.poke('rotation', subject)
}

describe('the workflow of a rotation', () => {
  test('stages, opens its jobs, and is over when the last host has confirmed', async () => {
    const { subject, id } = await begin()
    await news(subject, { state: 'claimed', epoch: 1, claimRemainingMs: 30_000 }, { phase: 'applying' })
    await news(subject, { state: 'confirmed', claimRemainingMs: null }, { state: 'confirmed', phase: 'done' })
    expect(await lab.ended(id)).toBe('COMPLETED')
    await lab.record('rotation-confirmed', id)
  })

  test('settles what nobody has settled, as failed where a host refused for good', async () => {
    const { subject, id } = await begin()
    await news(subject, { state: 'failed', attempts: 3, reasonClass: 'denied' })
    expect(await lab.ended(id)).toBe('COMPLETED')
    expect(of(subject).state).toBe('failed')
    await lab.record('rotation-failed', id)
  })

  test('makes another value when the first was refused, and goes to the hosts again', async () => {
    const { subject, id } = await begin()
    await news(subject, { attempts: 1, reasonClass: 'policy-refused' }, { stagedVersion: null, phase: 'queued' })
    await until(() => of(subject).phase === 'waiting')
    expect(of(subject).stagedVersion).toBe(2)
    await news(subject, { state: 'confirmed' }, { state: 'confirmed', phase: 'done' })
    expect(await lab.ended(id)).toBe('COMPLETED')
    await lab.record('rotation-second-candidate', id)
  })

  test('gives up a claim whose time is over, and goes on when the probe has found out', async () => {
    const { subject, id } = await begin()
    await news(subject, { state: 'claimed', epoch: 1, claimRemainingMs: -1 }, { phase: 'applying' })
    await until(() => of(subject).phase === 'in_doubt')
    await news(subject, { state: 'confirmed', epoch: 2, doubtForMs: null }, { state: 'confirmed', phase: 'done' })
    expect(await lab.ended(id)).toBe('COMPLETED')
    await lab.record('rotation-doubt-confirmed', id)
  })

  test('calls for a person when a doubt lasts', async () => {
    const { subject, id } = await begin()
    await news(subject, { state: 'doubt', kind: 'probe', epoch: 1, doubtForMs: 600_000 }, { phase: 'in_doubt' })
    await until(() => of(subject).needsAttention)
    await news(subject, { state: 'confirmed', doubtForMs: null }, { state: 'confirmed', phase: 'done' })
    expect(await lab.ended(id)).toBe('COMPLETED')
    await lab.record('rotation-attention', id)
  })

  test('says once that it has been pending for too long, at the very moment, and goes on waiting', async () => {
    const clock = createClock()
    const limit = clock.now() + 24 * 60 * minute
    const subject = { accountId: randomUUID(), subjectId: randomUUID() }
    const isTold = (): boolean => told.includes(subject.subjectId)
    let looked = 0
    rows.set(subject.subjectId, rotationFacts({ stagedVersion: 2, phase: 'waiting', jobs: [jobFacts()] }))
    looks.set(subject.subjectId, (facts) => (looked++, facts.stuckInMs === null ? facts : { ...facts, stuckInMs: limit - clock.now() }))
    const id = await lab.poke('rotation', subject)
    await until(() => looked > 0)
    await lab.pass(id, clock, 23 * 60 * minute)
    expect(isTold()).toBe(false)
    await lab.pass(id, clock, 61 * minute)
    await until(isTold)
    await news(subject, { attempts: 1 })
    await news(subject, { state: 'confirmed' }, { state: 'confirmed', phase: 'done' })
    expect(await lab.ended(id)).toBe('COMPLETED')
    expect(told.filter((one) => one === subject.subjectId)).toHaveLength(1)
    await lab.record('rotation-stuck', id)
  }, 30_000)

  test.each([
    ['organization-secret-not-found', 'refused'],
    ['dependency-unavailable', 'unavailable'],
  ] as const)(
    'says that it is stuck when no value can be made (%s), and goes on as soon as one can',
    async (refusal, name) => {
      const clock = createClock()
      const limit = clock.now() + 5 * minute
      const subject = { accountId: randomUUID(), subjectId: randomUUID() }
      let looked = 0
      rows.set(subject.subjectId, rotationFacts({ stuckInMs: 5 * minute }))
      refusals.set(subject.subjectId, refusal)
      looks.set(subject.subjectId, (facts) => (looked++, facts.stuckInMs === null ? facts : { ...facts, stuckInMs: limit - clock.now() }))
      const id = await lab.poke('rotation', subject)
      await until(() => looked > 0)
      clock.shift = 6 * minute
      // First what is tried for a minute is given up, then comes the pause.
      for (let skips = 0; skips < 8 && !told.includes(subject.subjectId); skips++) await lab.pass(id, clock, minute)
      await until(() => told.includes(subject.subjectId))
      refusals.delete(subject.subjectId)
      await lab.poke('rotation', subject)
      await until(() => of(subject).phase === 'waiting')
      await news(subject, { state: 'confirmed' }, { state: 'confirmed', phase: 'done' })
      expect(await lab.ended(id)).toBe('COMPLETED')
      await lab.record(`rotation-value-${name}`, id)
    },
    60_000,
  )

  test('is over when a person stored another value meanwhile', async () => {
    const { subject, id } = await begin()
    await news(subject, { state: 'cancelled' }, { state: 'cancelled', phase: 'done' })
    expect(await lab.ended(id)).toBe('COMPLETED')
    await lab.record('rotation-cancelled', id)
  })
})

test.each([
  ['rotationSweep', 'sweep', 4],
  ['checkSweep', 'check-sweep', 6],
])('%s goes from page to page and says how much it began', async (type, name, begun) => {
  const { workflow } = lab.temporal.client
  const handle = await workflow.start(type, { taskQueue: lab.taskQueue, workflowId: name, args: [] })
  expect(await handle.result()).toBe(begun)
  await lab.record(name, name)
})

test('a sweep comes back to what was busy, twice and no more', async () => {
  busy.push(1, 0, 1, 0, 0, 1)
  const { workflow } = lab.temporal.client
  const handle = await workflow.start('rotationSweep', { taskQueue: lab.taskQueue, workflowId: 'sweep-again', args: [] })
  for (const left of [4, 2]) {
    await until(() => busy.length === left)
    await lab.pass('sweep-again', createClock(), 30_000)
  }
  expect([await handle.result(), busy]).toEqual([12, []])
  await lab.record('sweep-again', 'sweep-again')
})

test('a re-encryption passes over everything until a pass finds nothing', async () => {
  const subject = { accountId: randomUUID(), subjectId: randomUUID() }
  const id = await lab.poke('reencryption', subject)
  expect(await lab.ended(id)).toBe('COMPLETED')
  expect(done).toEqual([subject.subjectId])
  await lab.record('reencryption', id)
})

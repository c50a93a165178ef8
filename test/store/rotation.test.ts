import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { JobId, RotationId } from '#schemas/ids.ts'
import type { Identity } from '#schemas/identity.ts'
import type { ClaimFacts } from '#schemas/job-facts.ts'
import { raiseAttention, readOffer, recordOffer } from '#store/job.ts'
import { readIdentity } from '#store/identity.ts'
import { releaseLease } from '#store/release-lease.ts'
import { resolveRotation } from '#store/resolve-rotation.ts'
import { rotationMaterial } from '#store/rotation.ts'
import { beginDueRotation, listDueIdentities } from '#store/sweep.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { checkOut } from '../support/leases.ts'
import { rotationActs, type RotationActs } from '../support/rotation-acts.ts'
import { createVaultWorld, type VaultWorld } from '../support/vault-world.ts'

let database: TestDatabase
let world: VaultWorld
let acts: RotationActs
let identity: Identity
const worker = { kind: 'workflow', id: 'test' } as const
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database?.end())
beforeEach(async () => {
  world = await createVaultWorld(database, database.as('leasehold_api'))
  acts = await rotationActs(database, world)
  identity = await world.addIdentity({ hostIds: [world.hostId], rotationIntervalDays: 30 })
})

const code = (name: string) => expect.objectContaining({ code: name })

/** A rotation whose one job may be claimed. */
async function openRotation(): Promise<{ rotationId: RotationId; jobId: JobId }> {
  const rotationId = await acts.begin(identity.id)
  const [jobId] = await acts.open(rotationId)
  if (jobId === undefined) throw new Error('no job')
  return { rotationId, jobId }
}

describe('a rotation', () => {
  test('is refused while the identity is checked out, while another one is open, and without hosts', async () => {
    const mia = await world.account.principal('mia')
    const lease = await world.account.run((trx) => checkOut(trx, mia, identity.id))
    await expect(acts.begin(identity.id)).rejects.toEqual(code('identity-currently-checked-out'))
    await world.account.run((trx) => releaseLease(trx, { leaseId: lease.leaseId, cause: 'checked_in', actor: worker }))
    const rotationId = await acts.begin(identity.id)
    await expect(acts.begin(identity.id)).rejects.toMatchObject({ code: 'rotation-open', facts: { rotationId } })
    identity = await world.addIdentity()
    await expect(acts.begin(identity.id)).rejects.toEqual(code('identity-has-no-hosts'))
  })

  test('stages one value only, however often it is told to', async () => {
    const rotationId = await acts.begin(identity.id)
    await acts.stage(rotationId)
    await acts.stage(rotationId)
    expect(await acts.asWorker((trx) => rotationMaterial(trx, rotationId))).toMatchObject({ stagedVersion: 2, nextVersion: 3 })
  })

  test('that is confirmed makes its value the present one, drops the old one and sets the next date', async () => {
    const { rotationId, jobId } = await openRotation()
    expect(await acts.claim(jobId, 1)).toMatchObject({ epoch: 1, kind: 'reset', username: 'app', staged: { version: 2 }, known: { version: 1 }, admin: null })
    expect(await acts.report(jobId, 1, 'confirmed')).toBe('recorded')
    expect(await acts.read(rotationId)).toMatchObject({ state: 'confirmed', phase: 'done', stagedVersion: 2 })
    const after = await world.account.run((trx) => readIdentity(trx, identity.id))
    expect(after).toMatchObject({ credentialVersion: 2, hosts: [{ hostId: world.hostId, credentialVersion: 2, sync: 'in_sync' }], rotationId: null })
    expect(Date.parse(after.nextRotationAt ?? '') - Date.parse(after.lastRotatedAt ?? '')).toBeCloseTo(30 * 86_400_000, -3)
    const { rows } = await database.superuser(
      'select version, ciphertext is null as shredded from credential_version where identity_id = $1 order by version',
      [identity.id],
    )
    expect(rows).toEqual([
      { version: 1, shredded: true },
      { version: 2, shredded: false },
    ])
  })

  test('that fails keeps the old value, and is tried again later, not every half hour', async () => {
    const { rotationId, jobId } = await openRotation()
    for (const epoch of [1, 2, 3]) {
      expect(await acts.claim(jobId, epoch)).toMatchObject({ epoch })
      await acts.report(jobId, epoch, 'unchanged')
      await acts.shift(`${epoch * 10} seconds`)
    }
    expect(await acts.read(rotationId)).toMatchObject({ state: 'failed', reasonClass: 'denied' })
    const due = async () => (await listDueIdentities(database.as('leasehold_expirer', 1), 100)).some((item) => item.identityId === identity.id)
    await acts.shift('59 minutes')
    expect(await due()).toBe(false)
    await acts.shift('61 minutes')
    expect(await due()).toBe(true)
    expect((await world.account.run((trx) => readIdentity(trx, identity.id))).credentialVersion).toBe(1)
  })

  test('that came due is begun by the sweep, and the next date is counted from the due date', async () => {
    const dueAt = Date.parse(identity.nextRotationAt ?? '')
    await acts.shift('33 days')
    const rotationId = await acts.asWorker((trx) => beginDueRotation(trx, identity.id))
    if (rotationId === undefined) throw new Error('not begun')
    expect(await acts.asWorker((trx) => beginDueRotation(trx, identity.id))).toBeUndefined()
    const [jobId] = await acts.open(rotationId)
    await acts.claim(jobId as JobId, 1)
    await acts.report(jobId as JobId, 1, 'confirmed')
    const after = await world.account.run((trx) => readIdentity(trx, identity.id))
    expect(Date.parse(after.nextRotationAt ?? '') - dueAt).toBe(30 * 86_400_000)
  })

  test('of an identity without hosts is skipped by the sweep, which its log shows', async () => {
    identity = await world.addIdentity({ rotationIntervalDays: 1 })
    await acts.shift('25 hours')
    expect(await acts.asWorker((trx) => beginDueRotation(trx, identity.id))).toBeUndefined()
    const { rows } = await database.superuser(`select outcome from audit_event where identity_id = $1 and action = 'rotation.skipped'`, [identity.id])
    expect(rows).toEqual([{ outcome: 'identity-has-no-hosts' }])
  })
})

describe('a claim', () => {
  test("is one instance's, and the same instance gets the same answer again", async () => {
    const { jobId } = await openRotation()
    const first = await acts.claim(jobId, 1)
    const again = await acts.claim(jobId, 1)
    expect({ ...again, holdMs: 0 }).toEqual({ ...first, holdMs: 0 })
    expect((again as ClaimFacts).holdMs).toBeLessThanOrEqual((first as ClaimFacts).holdMs)
    expect(await acts.claim(jobId, 1, randomUUID())).toEqual({ refused: 'gone' })
    expect(await acts.claim(jobId, 2)).toEqual({ refused: 'gone' })
  })

  test('waits while somebody holds the identity, and the release lets it go on', async () => {
    const { jobId } = await openRotation()
    const mia = await world.account.principal('mia')
    const lease = await world.account.run((trx) => checkOut(trx, mia, identity.id))
    expect(await acts.claim(jobId, 1)).toEqual({ refused: 'later' })
    await world.account.run((trx) => releaseLease(trx, { leaseId: lease.leaseId, cause: 'checked_in', actor: worker }))
    expect(await acts.claim(jobId, 1)).toMatchObject({ epoch: 1 })
    await expect(world.account.run((trx) => checkOut(trx, mia, identity.id))).rejects.toEqual(code('identity-rotating'))
  })

  test('that waited for a day makes the identity take no new holders', async () => {
    const { jobId } = await openRotation()
    const mia = await world.account.principal('mia')
    await acts.shift('1 hour')
    const shared = await world.account.run((trx) => checkOut(trx, mia, identity.id, 1440))
    await acts.shift('24 hours 1 second')
    await acts.claim(jobId, 1)
    await world.account.run((trx) => releaseLease(trx, { leaseId: shared.leaseId, cause: 'forced', actor: worker }))
    await expect(world.account.run((trx) => checkOut(trx, mia, identity.id))).rejects.toEqual(code('identity-draining'))
  })

  test('whose account is held is offered again when the lease ends, after five minutes at the latest, and at once when it is released', async () => {
    const { rotationId, jobId } = await openRotation()
    const mia = await world.account.principal('mia')
    const offered = async (): Promise<number> => {
      await acts.asBridge((trx) => recordOffer(trx, jobId))
      return nextOffer()
    }
    const nextOffer = async (): Promise<number> => {
      const due = `select extract(epoch from next_at - clock_timestamp())::float8 as seconds from obligation where kind = 'offer' and subject_id = $1`
      return (await database.superuser(due, [jobId])).rows[0].seconds
    }
    const near = (seconds: number) => expect.toSatisfy((value: number) => value > seconds - 5 && value <= seconds, `about ${seconds} s`)
    expect(await offered()).toEqual(near(10))
    const lease = await world.account.run((trx) => checkOut(trx, mia, identity.id, 30))
    expect(await offered()).toEqual(near(300))
    await acts.shift('28 minutes')
    expect(await offered()).toEqual(near(120))
    // A claim ends what is over, so that nobody has to wait for a clock.
    await acts.shift('31 minutes')
    expect(await offered()).toEqual(near(10))
    await acts.shift('0')
    expect(await offered()).toEqual(near(300))
    await world.account.run((trx) => releaseLease(trx, { leaseId: lease.leaseId, cause: 'checked_in', actor: worker }))
    expect(await nextOffer()).toBeLessThan(0)
    expect(await offered()).toEqual(near(10))
    expect((await acts.read(rotationId)).jobs[0]?.state).toBe('waiting')
  })

  test('of a deregistered connector is refused, and nothing is offered to it', async () => {
    const { jobId } = await openRotation()
    expect(await acts.asBridge((trx) => readOffer(trx, jobId))).toMatchObject({ jobId, epoch: 1 })
    await database.superuser(`update connector set state = 'revoked' where id = $1`, [world.connectorId])
    expect(await acts.asBridge((trx) => readOffer(trx, jobId))).toBeUndefined()
    expect(await acts.claim(jobId, 1)).toEqual({ refused: 'gone' })
  })

  test('that lapses leaves a doubt that only a probe may clear, and a late result still counts until then', async () => {
    const { rotationId, jobId } = await openRotation()
    await acts.claim(jobId, 1)
    await acts.lapse(jobId, 1)
    expect((await acts.read(rotationId)).jobs[0]?.state).toBe('claimed')
    await acts.shift('31 seconds')
    await acts.lapse(jobId, 1)
    expect(await acts.read(rotationId)).toMatchObject({ phase: 'in_doubt', jobs: [{ state: 'doubt', kind: 'probe' }] })
    expect(await acts.report(jobId, 1, 'confirmed')).toBe('recorded')
    expect((await acts.read(rotationId)).state).toBe('confirmed')
  })

  test('after a doubt is a probe, and an older result is stale', async () => {
    const { rotationId, jobId } = await openRotation()
    await acts.claim(jobId, 1)
    await acts.shift('31 seconds')
    await acts.lapse(jobId, 1)
    expect(await acts.claim(jobId, 2)).toMatchObject({ kind: 'probe', epoch: 2 })
    expect(await acts.report(jobId, 1, 'confirmed')).toBe('stale')
    await acts.report(jobId, 2, 'unchanged', { knownLogsIn: true, stagedLogsIn: false })
    expect((await acts.read(rotationId)).jobs[0]).toMatchObject({ state: 'waiting', kind: 'reset' })
  })

  test('whose doubt lasts ten minutes calls for a person', async () => {
    const { rotationId, jobId } = await openRotation()
    await acts.claim(jobId, 1)
    await acts.report(jobId, 1, 'unknown')
    await acts.shift('9 minutes')
    await acts.asWorker((trx) => raiseAttention(trx, rotationId))
    expect((await acts.read(rotationId)).needsAttention).toBe(false)
    await acts.shift('11 minutes')
    for (let turn = 0; turn < 2; turn += 1) await acts.asWorker((trx) => raiseAttention(trx, rotationId))
    expect((await acts.read(rotationId)).needsAttention).toBe(true)
    const { rows } = await database.superuser('select kind, severity from notice where subject_id = $1', [rotationId])
    expect(rows).toEqual([{ kind: 'rotation.needs_attention', severity: 'critical' }])
  })
})

test('the doubts of one rotation each call for a person: a probe that ends one ends the call too', async () => {
  const { rotationId, jobId } = await openRotation()
  const doubt = async (epoch: number, over: string) => {
    await acts.claim(jobId, epoch)
    await acts.report(jobId, epoch, 'unknown')
    await acts.shift(over)
    await acts.asWorker((trx) => raiseAttention(trx, rotationId))
    expect((await acts.read(rotationId)).needsAttention).toBe(true)
  }
  await doubt(1, '11 minutes')
  // While the probe runs nobody knows yet.
  await acts.claim(jobId, 2)
  await acts.report(jobId, 2, 'unknown')
  expect((await acts.read(rotationId)).needsAttention).toBe(true)
  await acts.shift('20 minutes')
  await acts.claim(jobId, 3)
  await acts.report(jobId, 3, 'unchanged', { knownLogsIn: true })
  expect(await acts.read(rotationId)).toMatchObject({ needsAttention: false, phase: 'waiting' })
  await doubt(4, '40 minutes')
  const { rows } = await database.superuser('select kind, severity from notice where subject_id = $1', [rotationId])
  expect(rows).toEqual(Array(2).fill({ kind: 'rotation.needs_attention', severity: 'critical' }))
})

describe('a late result', () => {
  const hostOf = async () => (await world.account.run((trx) => readIdentity(trx, identity.id))).hosts[0]
  const notices = async () => (await database.superuser(`select kind, severity from notice where subject_id = $1`, [identity.id])).rows
  /** A rotation whose one claim was given up. */
  async function lapsed() {
    const { rotationId, jobId } = await openRotation()
    await acts.claim(jobId, 1)
    await acts.shift('31 seconds')
    await acts.lapse(jobId, 1)
    return { rotationId, jobId }
  }

  test('before the next claim decides; after it, it is stale, and whoever holds the job decides', async () => {
    const before = await lapsed()
    expect(await acts.report(before.jobId, 1, 'confirmed')).toBe('recorded')
    expect((await acts.read(before.rotationId)).state).toBe('confirmed')
    await acts.shift('0')
    const after = await lapsed()
    await acts.claim(after.jobId, 2)
    expect(await acts.report(after.jobId, 1, 'confirmed')).toBe('stale')
    expect(await acts.read(after.rotationId)).toMatchObject({ state: 'pending', jobs: [{ state: 'claimed', epoch: 2 }] })
    expect(await acts.report(after.jobId, 2, 'unchanged', { knownLogsIn: true })).toBe('recorded')
    expect(await acts.read(after.rotationId)).toMatchObject({ state: 'pending', jobs: [{ state: 'waiting', kind: 'reset' }] })
  })

  test('that agrees with what was found out meanwhile changes nothing', async () => {
    const { rotationId, jobId } = await lapsed()
    await acts.claim(jobId, 2)
    expect(await acts.report(jobId, 2, 'confirmed')).toBe('recorded')
    const confirmed = await acts.read(rotationId)
    expect(await acts.report(jobId, 1, 'confirmed')).toBe('stale')
    expect(await acts.report(jobId, 1, 'unknown')).toBe('repeated')
    expect(await acts.read(rotationId)).toEqual(confirmed)
    expect(await hostOf()).toMatchObject({ sync: 'in_sync', credentialVersion: 2 })
    expect(await notices()).toEqual([])
  })

  test('of a claim that a person had given up, after another rotation: the host has drifted, and the admins are told once', async () => {
    const { rotationId, jobId } = await lapsed()
    await acts.shift('11 minutes')
    await acts.asWorker((trx) => raiseAttention(trx, rotationId))
    const { actor } = world.account.people.mia
    const reason = { encryptionVersion: 2, keyId: 'o1', ciphertext: Buffer.alloc(48) } as const
    await world.account.run((trx) => resolveRotation(trx, { rotationId, hostId: null, outcome: 'not_applied', actor, reason }))
    expect(await hostOf()).toMatchObject({ sync: 'drifted' })
    const next = await acts.begin(identity.id)
    const [nextJob] = await acts.open(next)
    await acts.claim(nextJob as JobId, 1)
    await acts.report(nextJob as JobId, 1, 'confirmed')
    expect(await hostOf()).toMatchObject({ sync: 'in_sync', credentialVersion: 3 })

    expect(await acts.report(jobId, 1, 'confirmed')).toBe('stale')
    expect(await acts.report(jobId, 1, 'confirmed')).toBe('repeated')
    expect(await hostOf()).toMatchObject({ sync: 'drifted', credentialVersion: 3 })
    expect(await notices()).toEqual([{ kind: 'host.drifted', severity: 'critical' }])
    const { rows } = await database.superuser(`select outcome from audit_event where identity_id = $1 and action = 'host.drifted'`, [identity.id])
    expect(rows).toEqual([{ outcome: 'late-result' }])
  })

  test.each([
    ['not_applied', 'confirmed', 'drifted'],
    ['not_applied', 'unchanged', 'unknown'],
    ['applied', 'confirmed', 'unknown'],
  ] as const)('before a person says %s: that it was %s leaves the host %s, and people are told when they disagree', async (outcome, reported, sync) => {
    const { rotationId, jobId } = await lapsed()
    await acts.claim(jobId, 2)
    expect(await acts.report(jobId, 1, reported)).toBe('stale')
    expect(await notices()).toEqual([])
    expect(await acts.report(jobId, 2, 'unknown')).toBe('recorded')
    await acts.shift('11 minutes')
    await acts.asWorker((trx) => raiseAttention(trx, rotationId))
    const { actor } = world.account.people.mia
    const reason = { encryptionVersion: 2, keyId: 'o1', ciphertext: Buffer.alloc(48) } as const
    await world.account.run((trx) => resolveRotation(trx, { rotationId, hostId: null, outcome, actor, reason }))
    expect(await hostOf()).toMatchObject({ sync })
    expect(await notices()).toEqual(sync === 'drifted' ? [{ kind: 'host.drifted', severity: 'critical' }] : [])
  })
})

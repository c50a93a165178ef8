import { randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { JobId, RotationId } from '#schemas/ids.ts'
import type { Identity } from '#schemas/identity.ts'
import type { ClaimFacts, JobReport } from '#schemas/job-facts.ts'
import { beginRotation } from '#store/begin-rotation.ts'
import { claimJob } from '#store/claim-job.ts'
import { inAccount, type Transaction } from '#store/connection.ts'
import { lapseClaim, openJobs, raiseAttention, readOffer } from '#store/job.ts'
import { readIdentity } from '#store/identity.ts'
import { releaseLease } from '#store/release-lease.ts'
import { reportJob } from '#store/report-job.ts'
import { readRotation, rotationMaterial } from '#store/rotation.ts'
import { stageVersion } from '#store/stage-version.ts'
import { beginDueRotation, listDueIdentities } from '#store/sweep.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { checkOut } from '../support/leases.ts'
import { createVaultWorld, type VaultWorld } from '../support/vault-world.ts'

let database: TestDatabase
let world: VaultWorld
let identity: Identity
const instance = randomUUID()
const worker = { kind: 'workflow', id: 'test' } as const
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database?.end())
beforeEach(async () => {
  world = await createVaultWorld(database, database.as('leasehold_api'))
  await database.superuser(`update connector set state = 'joining' where id = $1`, [world.connectorId])
  await database.superuser(`update connector set state = 'active', encryption_jwk = '{"kty":"OKP"}' where id = $1`, [world.connectorId])
  identity = await world.addIdentity({ hostIds: [world.hostId], rotationIntervalDays: 30 })
})

const code = (name: string) => expect.objectContaining({ code: name })
const asWorker = <T>(decide: (trx: Transaction) => Promise<T>) => inAccount(database.as('leasehold_worker', 1), world.account.id, decide)
const asBridge = <T>(decide: (trx: Transaction) => Promise<T>) => inAccount(database.as('leasehold_bridge', 1), world.account.id, decide)
const shift = (interval: string) =>
  database.superuser('insert into clock_shift values ($1, $2) on conflict (account_id) do update set shift = excluded.shift', [world.account.id, interval])
const read = (id: RotationId) => asWorker((trx) => readRotation(trx, id))
const stage = (id: RotationId) =>
  asWorker(async (trx) => {
    const { nextVersion } = await rotationMaterial(trx, id)
    return stageVersion(
      trx,
      id,
      { version: nextVersion, sealed: { encryptionVersion: 2, keyId: 'o1', ciphertext: randomBytes(48) }, hash: randomBytes(32) },
      worker,
    )
  })
const begin = () => asWorker((trx) => beginRotation(trx, { identityId: identity.id, trigger: 'manual', actor: worker }))
const claim = (jobId: JobId, epoch: number, by = instance) => asBridge((trx) => claimJob(trx, { jobId, epoch, instance: by, connectorId: world.connectorId }))
const report = (jobId: JobId, epoch: number, outcome: JobReport['outcome'], more: Partial<JobReport> = {}) =>
  asBridge((trx) =>
    reportJob(trx, {
      jobId,
      epoch,
      instance,
      connectorId: world.connectorId,
      outcome,
      reasonClass: outcome === 'confirmed' ? null : 'denied',
      stagedLogsIn: null,
      knownLogsIn: null,
      ...more,
    }),
  )

/** A rotation whose one job may be claimed. */
async function openRotation(): Promise<{ rotationId: RotationId; jobId: JobId }> {
  const { rotationId } = await begin()
  await stage(rotationId)
  await asWorker((trx) => openJobs(trx, rotationId))
  const [job] = (await read(rotationId)).jobs
  if (job === undefined) throw new Error('no job')
  return { rotationId, jobId: job.jobId }
}

describe('a rotation', () => {
  test('is refused while the identity is checked out, while another one is open, and without hosts', async () => {
    const mia = await world.account.principal('mia')
    const lease = await world.account.run((trx) => checkOut(trx, mia, identity.id))
    await expect(begin()).rejects.toEqual(code('identity-currently-checked-out'))
    await world.account.run((trx) => releaseLease(trx, { leaseId: lease.leaseId, cause: 'checked_in', actor: worker }))
    const { rotationId } = await begin()
    await expect(begin()).rejects.toMatchObject({ code: 'rotation-open', facts: { rotationId } })
    identity = await world.addIdentity()
    await expect(begin()).rejects.toEqual(code('identity-has-no-hosts'))
  })

  test('stages one value only, however often it is told to', async () => {
    const { rotationId } = await begin()
    await stage(rotationId)
    expect((await stage(rotationId)).stagedVersion).toBe(2)
    expect(await asWorker((trx) => rotationMaterial(trx, rotationId))).toMatchObject({ stagedVersion: 2, nextVersion: 3 })
  })

  test('that is confirmed makes its value the present one, drops the old one and sets the next date', async () => {
    const { rotationId, jobId } = await openRotation()
    expect(await claim(jobId, 1)).toMatchObject({ epoch: 1, kind: 'reset', username: 'app', staged: { version: 2 }, known: { version: 1 }, admin: null })
    expect(await report(jobId, 1, 'confirmed')).toMatchObject({ stale: false })
    expect(await read(rotationId)).toMatchObject({ state: 'confirmed', phase: 'done', stagedVersion: 2 })
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
      expect(await claim(jobId, epoch)).toMatchObject({ epoch })
      await report(jobId, epoch, 'unchanged')
      await shift(`${epoch * 10} seconds`)
    }
    expect(await read(rotationId)).toMatchObject({ state: 'failed', reasonClass: 'denied' })
    const due = async () => (await listDueIdentities(database.as('leasehold_expirer', 1), 100)).some((item) => item.identityId === identity.id)
    await shift('59 minutes')
    expect(await due()).toBe(false)
    await shift('61 minutes')
    expect(await due()).toBe(true)
    expect((await world.account.run((trx) => readIdentity(trx, identity.id))).credentialVersion).toBe(1)
  })

  test('that came due is begun by the sweep, and the next date is counted from the due date', async () => {
    const dueAt = Date.parse(identity.nextRotationAt ?? '')
    await shift('33 days')
    const rotationId = await asWorker((trx) => beginDueRotation(trx, identity.id))
    if (rotationId === undefined) throw new Error('not begun')
    expect(await asWorker((trx) => beginDueRotation(trx, identity.id))).toBeUndefined()
    await stage(rotationId)
    await asWorker((trx) => openJobs(trx, rotationId))
    const [job] = (await read(rotationId)).jobs
    await claim(job?.jobId as JobId, 1)
    await report(job?.jobId as JobId, 1, 'confirmed')
    const after = await world.account.run((trx) => readIdentity(trx, identity.id))
    expect(Date.parse(after.nextRotationAt ?? '') - dueAt).toBe(30 * 86_400_000)
  })

  test('of an identity without hosts is skipped by the sweep, which its log shows', async () => {
    identity = await world.addIdentity({ rotationIntervalDays: 1 })
    await shift('25 hours')
    expect(await asWorker((trx) => beginDueRotation(trx, identity.id))).toBeUndefined()
    const { rows } = await database.superuser(`select outcome from audit_event where identity_id = $1 and action = 'rotation.skipped'`, [identity.id])
    expect(rows).toEqual([{ outcome: 'identity-has-no-hosts' }])
  })
})

describe('a claim', () => {
  test("is one instance's, and the same instance gets the same answer again", async () => {
    const { jobId } = await openRotation()
    const first = await claim(jobId, 1)
    const again = await claim(jobId, 1)
    expect({ ...again, holdMs: 0 }).toEqual({ ...first, holdMs: 0 })
    expect((again as ClaimFacts).holdMs).toBeLessThanOrEqual((first as ClaimFacts).holdMs)
    expect(await claim(jobId, 1, randomUUID())).toEqual({ refused: 'gone' })
    expect(await claim(jobId, 2)).toEqual({ refused: 'gone' })
  })

  test('waits while somebody holds the identity, and the release lets it go on', async () => {
    const { jobId } = await openRotation()
    const mia = await world.account.principal('mia')
    const lease = await world.account.run((trx) => checkOut(trx, mia, identity.id))
    expect(await claim(jobId, 1)).toEqual({ refused: 'later' })
    await world.account.run((trx) => releaseLease(trx, { leaseId: lease.leaseId, cause: 'checked_in', actor: worker }))
    expect(await claim(jobId, 1)).toMatchObject({ epoch: 1 })
    await expect(world.account.run((trx) => checkOut(trx, mia, identity.id))).rejects.toEqual(code('identity-rotating'))
  })

  test('that waited for a day makes the identity take no new holders', async () => {
    const { jobId } = await openRotation()
    const mia = await world.account.principal('mia')
    await shift('1 hour')
    const shared = await world.account.run((trx) => checkOut(trx, mia, identity.id, 1440))
    await shift('24 hours 1 second')
    await claim(jobId, 1)
    await world.account.run((trx) => releaseLease(trx, { leaseId: shared.leaseId, cause: 'forced', actor: worker }))
    await expect(world.account.run((trx) => checkOut(trx, mia, identity.id))).rejects.toEqual(code('identity-draining'))
  })

  test('of a deregistered connector is refused, and nothing is offered to it', async () => {
    const { jobId } = await openRotation()
    expect(await asBridge((trx) => readOffer(trx, jobId))).toMatchObject({ jobId, epoch: 1 })
    await database.superuser(`update connector set state = 'revoked' where id = $1`, [world.connectorId])
    expect(await asBridge((trx) => readOffer(trx, jobId))).toBeUndefined()
    expect(await claim(jobId, 1)).toEqual({ refused: 'gone' })
  })

  test('that lapses leaves a doubt that only a probe may clear, and a late result still counts until then', async () => {
    const { rotationId, jobId } = await openRotation()
    await claim(jobId, 1)
    await asWorker((trx) => lapseClaim(trx, jobId, 1))
    expect((await read(rotationId)).jobs[0]?.state).toBe('claimed')
    await shift('31 seconds')
    await asWorker((trx) => lapseClaim(trx, jobId, 1))
    expect(await read(rotationId)).toMatchObject({ phase: 'in_doubt', jobs: [{ state: 'doubt', kind: 'probe' }] })
    expect(await report(jobId, 1, 'confirmed')).toMatchObject({ stale: false })
    expect((await read(rotationId)).state).toBe('confirmed')
  })

  test('after a doubt is a probe, and an older result is stale', async () => {
    const { rotationId, jobId } = await openRotation()
    await claim(jobId, 1)
    await shift('31 seconds')
    await asWorker((trx) => lapseClaim(trx, jobId, 1))
    expect(await claim(jobId, 2)).toMatchObject({ kind: 'probe', epoch: 2 })
    expect(await report(jobId, 1, 'confirmed')).toEqual({ stale: true, repeated: false })
    await report(jobId, 2, 'unchanged', { knownLogsIn: true, stagedLogsIn: false })
    expect((await read(rotationId)).jobs[0]).toMatchObject({ state: 'waiting', kind: 'reset' })
  })

  test('whose doubt lasts ten minutes calls for a person', async () => {
    const { rotationId, jobId } = await openRotation()
    await claim(jobId, 1)
    await report(jobId, 1, 'unknown')
    await shift('9 minutes')
    await asWorker((trx) => raiseAttention(trx, rotationId))
    expect((await read(rotationId)).needsAttention).toBe(false)
    await shift('11 minutes')
    await asWorker((trx) => raiseAttention(trx, rotationId))
    expect((await read(rotationId)).needsAttention).toBe(true)
  })
})

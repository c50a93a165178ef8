import { randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Identity } from '#schemas/identity.ts'
import type { JobId, LeaseId, RotationId } from '#schemas/ids.ts'
import { beginRotation } from '#store/begin-rotation.ts'
import { claimJob } from '#store/claim-job.ts'
import { inAccount, type Transaction } from '#store/connection.ts'
import { extendLease } from '#store/extend-lease.ts'
import { readIdentity } from '#store/identity.ts'
import { lapseClaim, openJobs } from '#store/job.ts'
import { readLease } from '#store/lease.ts'
import { endDueLeases, releaseLease } from '#store/release-lease.ts'
import { reportJob } from '#store/report-job.ts'
import { resolveRotation } from '#store/resolve-rotation.ts'
import { readRotation, rotationMaterial } from '#store/rotation.ts'
import { stageVersion } from '#store/stage-version.ts'
import { breakTheGlass } from '../support/break-glass.ts'
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
  identity = await world.addIdentity({ hostIds: [world.hostId], allowConcurrentCheckout: true, maxConcurrentSessions: 2 })
})

const code = (name: string) => expect.objectContaining({ code: name })
const asApi = <T>(decide: (trx: Transaction) => Promise<T>) => world.account.run(decide)
const asWorker = <T>(decide: (trx: Transaction) => Promise<T>) => inAccount(database.as('leasehold_worker', 1), world.account.id, decide)
const asBridge = <T>(decide: (trx: Transaction) => Promise<T>) => inAccount(database.as('leasehold_bridge', 1), world.account.id, decide)
const shift = (interval: string) =>
  database.superuser('insert into clock_shift values ($1, $2) on conflict (account_id) do update set shift = clock_shift.shift + excluded.shift', [
    world.account.id,
    interval,
  ])
const shown = async (name: 'mia' | 'ola', minutes?: number) => {
  const principal = await world.account.principal(name)
  return asApi((trx) => breakTheGlass(trx, principal, identity.id, minutes))
}
const take = async (name: 'mia', minutes = 240) => {
  const principal = await world.account.principal(name)
  return asApi((trx) => checkOut(trx, principal, identity.id, minutes))
}
const checkin = (leaseId: LeaseId) => asApi((trx) => releaseLease(trx, { leaseId, cause: 'checked_in', actor: worker }))
const claim = (jobId: JobId, epoch: number) => asBridge((trx) => claimJob(trx, { jobId, epoch, instance, connectorId: world.connectorId }))
const confirm = (jobId: JobId, epoch: number) =>
  asBridge((trx) =>
    reportJob(trx, { jobId, epoch, instance, connectorId: world.connectorId, outcome: 'confirmed', reasonClass: null, stagedLogsIn: null, knownLogsIn: null }),
  )
/** Brings a rotation so far that its one job may be claimed. */
async function stage(rotationId: RotationId): Promise<JobId> {
  const sealed = { encryptionVersion: 2, keyId: 'o1', ciphertext: randomBytes(48) } as const
  await asWorker(async (trx) =>
    stageVersion(trx, rotationId, { version: (await rotationMaterial(trx, rotationId)).nextVersion, sealed, hash: randomBytes(32) }, worker),
  )
  await asWorker((trx) => openJobs(trx, rotationId))
  const [job] = (await asWorker((trx) => readRotation(trx, rotationId))).jobs
  return job?.jobId ?? expect.unreachable('no job')
}
const begin = async () => (await asWorker((trx) => beginRotation(trx, { identityId: identity.id, trigger: 'manual', actor: worker }))).rotationId
const openRotation = async () =>
  (await database.superuser(`select id, trigger, staged_version as staged from rotation where identity_id = $1 and state = 'pending'`, [identity.id])).rows[0]
const owed = async () =>
  (
    await database.superuser(
      `select distinct e.version from exposure e where e.identity_id = $1 and e.must_die_at is not null
        and e.version >= (select min(known_version) from identity_host where identity_id = $1) order by 1`,
      [identity.id],
    )
  ).rows.map(({ version }) => version)

describe('break-glass during a rotation', () => {
  test('that is in doubt answers both values, labelled; afterwards neither of them is the one that works', async () => {
    const first = await begin()
    const jobId = await stage(first)
    await claim(jobId, 1)
    await asWorker((trx) => lapseClaim(trx, jobId, 1, { abandoned: true }))
    const use = await shown('mia')
    expect(use.possible.map(({ version, label, hostIds, value }) => ({ version, label, hostIds, value: value.expose() }))).toEqual([
      { version: 1, label: 'current', hostIds: [world.hostId], value: 'value 1' },
      { version: 2, label: 'staged', hostIds: [world.hostId], value: 'value 2' },
    ])
    await checkin(use.lease.leaseId)
    expect(await owed()).toEqual([1, 2])
    // The probe finds the staged value on the host: it is confirmed, and was seen.
    await claim(jobId, 2)
    await confirm(jobId, 2)
    expect((await asWorker((trx) => readRotation(trx, first))).state).toBe('confirmed')
    const next = await openRotation()
    expect(next).toMatchObject({ trigger: 'break_glass' })
    expect((await asApi((trx) => readLease(trx, use.lease.leaseId))).rotation).toMatchObject({ id: next.id, state: 'pending' })
    const last = await stage(next.id)
    await claim(last, 1)
    await confirm(last, 1)
    expect([await owed(), await openRotation()]).toEqual([[], undefined])
    expect((await asApi((trx) => readIdentity(trx, identity.id))).credentialVersion).toBe(3)
  })

  test('that goes through under it owes the next rotation at its end', async () => {
    const jobId = await stage(await begin())
    await claim(jobId, 1)
    const use = await shown('mia')
    expect(use.possible.map(({ version }) => version)).toEqual([1, 2])
    await confirm(jobId, 1)
    expect(await openRotation()).toBeUndefined()
    await checkin(use.lease.leaseId)
    expect([await owed(), (await openRotation()).trigger]).toEqual([[2], 'break_glass'])
  })

  test('that only waits answers the one value, and keeps the connector waiting until the end', async () => {
    const jobId = await stage(await begin())
    const use = await shown('mia')
    expect(use.possible.map(({ version, label }) => [version, label])).toEqual([[1, 'current']])
    expect(await claim(jobId, 1)).toEqual({ refused: 'later' })
    await checkin(use.lease.leaseId)
    await claim(jobId, 1)
    await confirm(jobId, 1)
    expect([await owed(), await openRotation()]).toEqual([[], undefined])
  })

  test('of an identity without hosts calls for a person at its end, who sets another value', async () => {
    identity = await world.addIdentity()
    const use = await shown('mia')
    await checkin(use.lease.leaseId)
    const { id } = await openRotation()
    const sealed = { encryptionVersion: 2, keyId: 'o1', ciphertext: randomBytes(48) } as const
    await asWorker((trx) => stageVersion(trx, id, { version: 2, sealed, hash: randomBytes(32) }, worker))
    await asWorker((trx) => openJobs(trx, id))
    expect(await asWorker((trx) => readRotation(trx, id))).toMatchObject({ state: 'pending', needsAttention: true })
    // A person may have set it by now, whatever they have told us.
    const again = await shown('mia')
    expect(again.possible.map(({ version, label }) => [version, label])).toEqual([
      [1, 'current'],
      [2, 'staged'],
    ])
    await checkin(again.lease.leaseId)
    await asApi((trx) => resolveRotation(trx, { rotationId: id, hostId: null, outcome: 'applied', actor: worker, reason: sealed }))
    expect((await openRotation()).id).not.toBe(id)
  })
})

describe('the end of a break-glass lease', () => {
  test('ends what others hold after the grace, as superseded and told to them, and only then rotates', async () => {
    await database.superuser(`update organization set break_glass_grace_minutes = 10 where id = $1`, [world.organizationId])
    const held = await take('mia', 240)
    const use = await shown('ola')
    await checkin(use.lease.leaseId)
    const { state, expiresAt, version } = await asApi((trx) => readLease(trx, held.leaseId))
    const { endedAt } = await asApi((trx) => readLease(trx, use.lease.leaseId))
    expect([state, version, Date.parse(expiresAt) - Date.parse(endedAt ?? '')]).toEqual(['active', 2, expect.closeTo(600_000, -3)])
    await expect(take('mia', 30)).rejects.toEqual(code('identity-draining'))
    const mia = await world.account.principal('mia')
    await expect(asApi((trx) => extendLease(trx, { leaseId: held.leaseId, minutes: 5, principal: mia, actor: worker }))).rejects.toEqual(
      code('identity-draining'),
    )
    expect(await openRotation()).toBeUndefined()
    const { rows: told } = await database.superuser(
      `select r.user_id from notice n join notice_recipient r on r.notice_id = n.id where n.kind = 'lease.ends_early' and n.subject_id = $1`,
      [held.leaseId],
    )
    expect(told).toEqual([{ user_id: world.account.people.mia.userId }])
    await shift('599 seconds')
    expect(await asWorker((trx) => endDueLeases(trx, [held.leaseId], worker))).toBe(0)
    await shift('2 seconds')
    expect(await asWorker((trx) => endDueLeases(trx, [held.leaseId], worker))).toBe(1)
    expect(await asApi((trx) => readLease(trx, held.leaseId))).toMatchObject({ state: 'ended', endCause: 'superseded' })
    expect((await openRotation()).trigger).toBe('break_glass')
    // Another emergency is not turned away by that.
    expect((await shown('ola')).beyondLimit).toBe(false)
  })

  test('leaves alone what ends sooner by itself', async () => {
    const held = await take('mia', 5)
    const use = await shown('ola')
    await checkin(use.lease.leaseId)
    expect(await asApi((trx) => readLease(trx, held.leaseId))).toMatchObject({ version: 1, state: 'active' })
    await expect(take('mia', 30)).rejects.toEqual(code('identity-draining'))
  })

  test('comes with its time, by whatever role looks first', async () => {
    const jobId = await stage(await begin())
    const use = await shown('mia', 5)
    await shift('5 minutes')
    // The bridge ends it while it claims.
    expect(await claim(jobId, 1)).toMatchObject({ epoch: 1 })
    expect(await asApi((trx) => readLease(trx, use.lease.leaseId))).toMatchObject({ state: 'ended', endCause: 'expired' })
  })
})

describe('the limit', () => {
  test('holds in the store alone, for many transactions at once by one person and by two: three in any minute', async () => {
    // Each person enrols with a first use, which no longer counts.
    await shown('mia')
    await shown('ola')
    await shift('2 minutes')
    const ids = await Promise.all(Array.from({ length: 4 }, async () => (await world.addIdentity()).id))
    const principals = [await world.account.principal('mia'), await world.account.principal('ola')]
    const uses = await Promise.allSettled(
      Array.from({ length: 16 }, (_, index) => {
        const [principal, id] = [principals[index % 2], ids[index % 4]]
        if (principal === undefined || id === undefined) return expect.unreachable()
        return asApi((trx) => breakTheGlass(trx, principal, id))
      }),
    )
    expect(uses.filter(({ status }) => status === 'fulfilled')).toHaveLength(3)
    const codes = uses.flatMap((use) => (use.status === 'rejected' ? [use.reason.code] : []))
    expect(codes.filter((refusal) => refusal !== 'break-glass-rate-limited' && refusal !== 'busy')).toEqual([])
  })
})

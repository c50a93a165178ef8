import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ChangeIdentity } from '#schemas/identity.ts'
import type { IdentityId, JobId, RotationId } from '#schemas/ids.ts'
import { changeIdentity } from '#store/change-identity.ts'
import { releaseLease } from '#store/release-lease.ts'
import { resolveRotation } from '#store/resolve-rotation.ts'
import { beginDueRotation } from '#store/sweep.ts'
import { breakTheGlass } from '../support/break-glass.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { rotationActs, type RotationActs } from '../support/rotation-acts.ts'
import { createVaultWorld, type VaultWorld } from '../support/vault-world.ts'

/** What was seen in an emergency must die, whatever its first rotation comes to. */
let database: TestDatabase
let world: VaultWorld
let acts: RotationActs
let identityId: IdentityId
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database?.end())
beforeEach(async () => {
  world = await createVaultWorld(database, database.as('leasehold_api'))
  acts = await rotationActs(database, world)
})

const sweep = () => acts.asWorker((trx) => beginDueRotation(trx, identityId))
const change = (settings: Omit<ChangeIdentity, 'credential'>) =>
  world.account.run((trx) => changeIdentity(trx, { id: identityId, change: settings, actor: world.account.people.mia.actor }))
const triggerOf = async (id: RotationId | undefined) => (await acts.read(id as RotationId)).trigger
const calls = async (id: RotationId | undefined) =>
  (await database.superuser(`select severity from notice where kind = 'rotation.needs_attention' and subject_id = $1`, [id])).rows

/** Somebody sees the value in an emergency. @returns the rotation that its end owes */
async function useInEmergency(): Promise<RotationId> {
  const mia = await world.account.principal('mia')
  const { lease } = await world.account.run((trx) => breakTheGlass(trx, mia, identityId))
  await world.account.run((trx) => releaseLease(trx, { leaseId: lease.leaseId, cause: 'checked_in', actor: { kind: 'system', id: 'a test' } }))
  return (await database.superuser(`select id from rotation where identity_id = $1 and state = 'pending'`, [identityId])).rows[0].id
}

/** The rotation that an emergency use owes has failed; the next attempt comes an hour later. */
async function failAfterEmergency(settings: { rotationIntervalDays?: number } = {}): Promise<void> {
  identityId = (await world.addIdentity({ hostIds: [world.hostId], ...settings })).id
  const rotationId = await useInEmergency()
  const [jobId] = await acts.open(rotationId)
  for (const epoch of [1, 2, 3]) {
    await acts.claim(jobId as JobId, epoch)
    await acts.report(jobId as JobId, epoch, 'unchanged')
    await acts.shift(`${epoch * 20} seconds`)
  }
  expect((await acts.read(rotationId)).state).toBe('failed')
}

describe('the next attempt after a failure', () => {
  test.each([90, null])('is not put off by a new interval (%s days)', async (rotationIntervalDays) => {
    await failAfterEmergency({ rotationIntervalDays: 30 })
    await change({ rotationIntervalDays })
    await acts.shift('2 hours')
    expect(await triggerOf(await sweep())).toBe('break_glass')
  })

  test('comes for a disabled identity too, and none when the value is dead', async () => {
    await failAfterEmergency({ rotationIntervalDays: 30 })
    await change({ state: 'disabled' })
    await acts.shift('2 hours')
    const next = (await sweep()) as RotationId
    expect(await triggerOf(next)).toBe('break_glass')
    const [jobId] = await acts.open(next)
    await acts.claim(jobId as JobId, 1)
    await acts.report(jobId as JobId, 1, 'confirmed')
    await acts.shift('60 days')
    expect(await sweep()).toBeUndefined()
  })
})

describe('an emergency use of an identity without hosts', () => {
  const resolve = (rotationId: RotationId, outcome: 'applied' | 'not_applied') => {
    const reason = { encryptionVersion: 2, keyId: 'o1', ciphertext: randomBytes(48) } as const
    return world.account.run((trx) => resolveRotation(trx, { rotationId, hostId: null, outcome, actor: world.account.people.mia.actor, reason }))
  }

  test('calls for a person who sets another value, and again after each who did not, until one has', async () => {
    identityId = (await world.addIdentity()).id
    const first = await useInEmergency()
    await acts.open(first)
    expect(await calls(first)).toEqual([{ severity: 'critical' }])
    await resolve(first, 'not_applied')
    expect(await sweep()).toBeUndefined()
    await acts.shift('61 minutes')
    const second = (await sweep()) as RotationId
    expect(await triggerOf(second)).toBe('break_glass')
    await acts.open(second)
    expect(await calls(second)).toEqual([{ severity: 'critical' }])
    await resolve(second, 'applied')
    await acts.shift('30 days')
    expect(await sweep()).toBeUndefined()
  })
})

import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HostId, type IdentityId } from '#schemas/ids.ts'
import { beginRotation } from '#store/begin-rotation.ts'
import { changeHost } from '#store/change-host.ts'
import { changeIdentity, type IdentityChange } from '#store/change-identity.ts'
import type { Db } from '#store/connection.ts'
import { deleteIdentity } from '#store/delete-identity.ts'
import { readIdentity } from '#store/identity.ts'
import { openJobs } from '#store/job.ts'
import { releaseLease } from '#store/release-lease.ts'
import { readRotation } from '#store/rotation.ts'
import { stageVersion } from '#store/stage-version.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { checkOut } from '../support/leases.ts'
import { storedValue } from '../support/stored-value.ts'
import { createVaultWorld, type VaultWorld } from '../support/vault-world.ts'

let database: TestDatabase
let db: Db
let world: VaultWorld
beforeAll(async () => {
  database = await createTestDatabase()
  db = database.as('leasehold_api')
  world = await createVaultWorld(database, db)
})
afterAll(() => database?.end())

const code = (name: string) => expect.objectContaining({ code: name })
const change = (id: IdentityId, asked: Omit<IdentityChange, 'id' | 'actor'>) =>
  world.account.run((trx) => changeIdentity(trx, { id, actor: world.account.people.mia.actor, ...asked }))
const checkOutAsOwner = async (id: IdentityId) => {
  const mia = await world.account.principal('mia')
  return world.account.run((trx) => checkOut(trx, mia, id))
}
const beginManual = (identityId: IdentityId) =>
  world.account.run((trx) => beginRotation(trx, { identityId, trigger: 'manual', actor: world.account.people.mia.actor }))
const seal = () => storedValue()

/** A rotation with its staged value and its jobs, as the workflow leaves it for a connector. */
async function rotationWithJobs(identityId: IdentityId) {
  const { rotationId } = await beginManual(identityId)
  await world.account.run((trx) => stageVersion(trx, rotationId, { version: 2, ...storedValue() }, { kind: 'workflow', id: 'test' }))
  await world.account.run((trx) => openJobs(trx, rotationId))
  return rotationId
}
/** As a connector's claim leaves it. */
const setJobs = (rotationId: string, state: string) =>
  database.superuser(
    `update job set state = $2, instance = gen_random_uuid(), lease_until = now() + interval '30 s', doubt_since = now() where rotation_id = $1`,
    [rotationId, state],
  )

describe('a new identity', () => {
  test('has every field that it was made with, and never its credential', async () => {
    const settings = {
      name: 'orders-db',
      username: 'orders_app',
      credentialType: 'password' as const,
      rotationIntervalDays: 30,
      rotateAfterUse: true,
      hostIds: [world.hostId],
      allowConcurrentCheckout: true,
      maxConcurrentSessions: 3,
      exposure: 'inject_only' as const,
      afterUseGraceMinutes: 5,
      passwordPolicy: { length: 20, classes: ['lower' as const, 'digit' as const] },
    }
    const identity = await world.addIdentity(settings)
    expect(identity).toMatchObject({
      ...settings,
      identityGroupId: world.vaultId,
      organizationId: world.organizationId,
      state: 'active',
      credentialVersion: 1,
      version: 1,
    })
    expect(Object.keys(identity)).not.toContain('credential')
    expect(identity.hosts).toEqual([
      { hostId: world.hostId, credentialVersion: 1, sync: 'unknown', health: 'unknown', checkedAt: null, unreachableSince: null },
    ])
    const days = (Date.parse(identity.nextRotationAt ?? '') - Date.parse(identity.createdAt)) / 86_400_000
    expect(days).toBeCloseTo(30, 3)
  })

  test.each([
    ['concurrent checkout without a maximum', { allowConcurrentCheckout: true }, 'maxConcurrentSessions'],
    ['a maximum without concurrent checkout', { maxConcurrentSessions: 2 }, 'maxConcurrentSessions'],
    ['rotate after use without a host', { rotateAfterUse: true }, 'rotateAfterUse'],
  ])('is refused with %s', async (_what, settings, path) => {
    await expect(world.addIdentity(settings)).rejects.toMatchObject({ code: 'validation-failed', facts: { errors: [expect.objectContaining({ path })] } })
  })

  test('is refused with a host that is not there', async () => {
    await expect(world.addIdentity({ hostIds: [HostId.parse(uuidv7())] })).rejects.toEqual(code('not-found'))
  })
})

describe('changing an identity', () => {
  test('checks the settings as they will be together', async () => {
    const identity = await world.addIdentity({ hostIds: [world.hostId], rotateAfterUse: true, allowConcurrentCheckout: true, maxConcurrentSessions: 2 })
    await expect(change(identity.id, { change: { hostIds: [] } })).rejects.toEqual(code('validation-failed'))
    await expect(change(identity.id, { change: { allowConcurrentCheckout: false } })).rejects.toEqual(code('validation-failed'))
    const changed = await change(identity.id, {
      change: { allowConcurrentCheckout: false, maxConcurrentSessions: null, rotateAfterUse: false, hostIds: [], name: 'renamed' },
    })
    expect(changed).toMatchObject({ name: 'renamed', allowConcurrentCheckout: false, maxConcurrentSessions: null, hostIds: [], version: 2 })
  })

  test('is refused at another version than the caller saw', async () => {
    const identity = await world.addIdentity()
    await expect(change(identity.id, { change: { name: 'stale' }, expectedVersion: 7 })).rejects.toEqual(code('precondition-failed'))
  })

  test('stores another credential as a new version on every host, and shreds the old value', async () => {
    const identity = await world.addIdentity({ hostIds: [world.hostId], rotationIntervalDays: 7 })
    const changed = await change(identity.id, { change: {}, seal })
    expect(changed).toMatchObject({ credentialVersion: 2, hosts: [{ hostId: world.hostId, credentialVersion: 2, sync: 'unknown' }] })
    const { rows } = await database.superuser(
      'select version, ciphertext is null as shredded from credential_version where identity_id = $1 order by version',
      [identity.id],
    )
    expect(rows).toEqual([
      { version: 1, shredded: true },
      { version: 2, shredded: false },
    ])
  })

  test('keeps the hashes of the newest value and of at most ten old ones', async () => {
    const identity = await world.addIdentity()
    for (let turn = 0; turn < 13; turn += 1) await change(identity.id, { change: {}, seal })
    const { rows } = await database.superuser('select version from password_history where identity_id = $1 order by version', [identity.id])
    expect(rows.map((row) => row.version)).toEqual([4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14])
  })

  test('stores no other credential, user name or hosts while somebody holds it; the rest may change', async () => {
    const identity = await world.addIdentity()
    const lease = await checkOutAsOwner(identity.id)
    for (const asked of [{ change: {}, seal }, { change: { username: 'other' } }, { change: { hostIds: [world.hostId] } }]) {
      await expect(change(identity.id, asked)).rejects.toMatchObject({ code: 'identity-checked-out', facts: { holder: 'mia' } })
    }
    expect(await change(identity.id, { change: { name: 'held', state: 'disabled' } })).toMatchObject({ name: 'held', state: 'disabled', activeLeases: 1 })
    await world.account.run((trx) => releaseLease(trx, { leaseId: lease.leaseId, cause: 'checked_in', actor: world.account.people.mia.actor }))
    expect((await change(identity.id, { change: {}, seal })).credentialVersion).toBe(2)
  })

  test('by another credential cancels a rotation that nobody claimed, and never reuses its version', async () => {
    const identity = await world.addIdentity({ hostIds: [world.hostId] })
    const rotationId = await rotationWithJobs(identity.id)
    await expect(change(identity.id, { change: { username: 'other' } })).rejects.toEqual(code('rotation-open'))
    expect(await change(identity.id, { change: {}, seal })).toMatchObject({ credentialVersion: 3, rotationId: null })
    expect(await world.account.run((trx) => readRotation(trx, rotationId))).toMatchObject({ state: 'cancelled', jobs: [{ state: 'cancelled' }] })
    const { rows } = await database.superuser('select ciphertext is null as shredded from credential_version where identity_id = $1 and version = 2', [
      identity.id,
    ])
    expect(rows).toEqual([{ shredded: true }])
  })

  test.each(['claimed', 'doubt'])('is refused while a connector holds it: job %s', async (state) => {
    const identity = await world.addIdentity({ hostIds: [world.hostId] })
    const rotationId = await rotationWithJobs(identity.id)
    await setJobs(rotationId, 'claimed')
    if (state === 'doubt') await setJobs(rotationId, state)
    for (const asked of [{ change: {}, seal }, { change: { username: 'other' } }]) {
      await expect(change(identity.id, asked)).rejects.toMatchObject({ code: 'identity-rotating', facts: { rotationId } })
    }
    const { actor } = world.account.people.mia
    await expect(world.account.run((trx) => changeHost(trx, world.hostId, { port: 5433 }, actor))).rejects.toEqual(code('identity-rotating'))
    await expect(world.account.run((trx) => deleteIdentity(trx, identity.id, actor))).rejects.toEqual(code('identity-rotating'))
    await setJobs(rotationId, 'failed')
    await database.superuser(`update rotation set state = 'failed' where id = $1`, [rotationId])
  })
})

describe('deleting an identity', () => {
  test('shreds every value and keeps what happened', async () => {
    const identity = await world.addIdentity({ hostIds: [world.hostId], rotationIntervalDays: 1 })
    const lease = await checkOutAsOwner(identity.id)
    const { actor } = world.account.people.mia
    await expect(world.account.run((trx) => deleteIdentity(trx, identity.id, actor))).rejects.toEqual(code('identity-checked-out'))
    await world.account.run((trx) => releaseLease(trx, { leaseId: lease.leaseId, cause: 'checked_in', actor }))
    await world.account.run((trx) => deleteIdentity(trx, identity.id, actor))
    await expect(world.account.run((trx) => readIdentity(trx, identity.id))).rejects.toEqual(code('not-found'))
    const kept = await database.superuser(
      `
      select (select count(*)::int from credential_version where identity_id = $1 and ciphertext is not null) as values,
        (select count(*)::int from password_history where identity_id = $1) as hashes, (select count(*)::int from lease where identity_id = $1) as leases,
        (select array_agg(action order by id) from audit_event where identity_id = $1) as actions,
        (select next_rotation_at from identity where id = $1) as due`,
      [identity.id],
    )
    expect(kept.rows[0]).toEqual({
      values: 0,
      hashes: 0,
      leases: 1,
      actions: ['identity.created', 'lease.granted', 'lease.ended', 'identity.deleted'],
      due: null,
    })
  })

  test('is refused while it rotates', async () => {
    const identity = await world.addIdentity({ hostIds: [world.hostId] })
    const { rotationId } = await beginManual(identity.id)
    await expect(world.account.run((trx) => deleteIdentity(trx, identity.id, world.account.people.mia.actor))).rejects.toMatchObject({
      code: 'rotation-open',
      facts: { rotationId },
    })
  })
})

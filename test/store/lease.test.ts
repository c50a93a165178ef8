import { randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { LeaseId, type IdentityId } from '#schemas/ids.ts'
import type { Identity } from '#schemas/identity.ts'
import type { Principal } from '#schemas/principal.ts'
import { Secret } from '#schemas/secret.ts'
import { acquireLease, type LeaseRequest } from '#store/acquire-lease.ts'
import { readCheckoutFacts } from '#store/checkout-facts.ts'
import { inAccount, type Db } from '#store/connection.ts'
import { extendLease } from '#store/extend-lease.ts'
import { readLease } from '#store/lease.ts'
import { endOverdueLeases, releaseLease } from '#store/release-lease.ts'
import { revealCredential, showLeaseCredential } from '#store/reveal.ts'
import { listOverdueLeases } from '#store/sweep.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createVaultWorld, type VaultWorld } from '../support/vault-world.ts'

let database: TestDatabase
let world: VaultWorld
let api: Db
let mia: Principal
let identity: Identity
beforeAll(async () => {
  database = await createTestDatabase()
  api = database.as('leasehold_api', 12)
})
afterAll(() => database?.end())
beforeEach(async () => {
  world = await createVaultWorld(database, api)
  mia = await world.account.principal('mia')
  identity = await world.addIdentity({ hostIds: [world.hostId], rotateAfterUse: true })
})

const code = (name: string, facts: object = {}) => expect.objectContaining({ code: name, facts: expect.objectContaining(facts) })
const open = () => Secret.of('opened')
const clock = { kind: 'system', id: 'expirer' } as const

function request(identityId: IdentityId, more: Partial<LeaseRequest> = {}): LeaseRequest {
  return {
    leaseId: LeaseId.parse(randomUUID()),
    identityId,
    vault: { vaultId: world.vaultId, organizationId: world.organizationId },
    hostId: null,
    minutes: 30,
    principal: mia,
    actor: world.account.people.mia.actor,
    requestHash: Buffer.alloc(32, 1),
    reason: { encryptionVersion: 2, keyId: 'o1', ciphertext: randomBytes(40) },
    open,
    ...more,
  }
}
const acquire = (identityId: IdentityId, more: Partial<LeaseRequest> = {}) => world.account.run((trx) => acquireLease(trx, request(identityId, more)))
const checkIn = (leaseId: LeaseId) =>
  world.account.run((trx) => releaseLease(trx, { leaseId, cause: 'checked_in', actor: world.account.people.mia.actor, endedBy: mia.userId }))
const shift = (interval: string) =>
  database.superuser('insert into clock_shift values ($1, $2) on conflict (account_id) do update set shift = excluded.shift', [world.account.id, interval])
const count = async (table: string, where = 'true') =>
  Number((await database.superuser(`select count(*) from ${table} where account_id = $1 and ${where}`, [world.account.id])).rows[0].count)

describe('a checkout', () => {
  test('writes the lease, its exposure, its audit event and its duty, or nothing', async () => {
    const { lease } = await acquire(identity.id)
    expect(lease).toMatchObject({ state: 'active', slot: 0, version: 1, credentialVersion: 1, terms: [{ version: 1, expiresAt: lease.expiresAt }] })
    expect([
      await count('lease'),
      await count('exposure'),
      await count('audit_event', `action = 'lease.granted'`),
      await count('obligation', `kind = 'lease'`),
    ]).toEqual([1, 1, 1, 1])

    const other = await world.addIdentity()
    const unreadable = () => {
      throw new Error('the tag does not fit')
    }
    await expect(acquire(other.id, { open: unreadable })).rejects.toThrow('the tag does not fit')
    expect([
      await count('lease'),
      await count('exposure'),
      await count('audit_event', `action = 'lease.granted'`),
      await count('obligation', `kind = 'lease'`),
    ]).toEqual([1, 1, 1, 1])
  })

  test('of an exclusive identity wins once, however many ask at the same time', async () => {
    const asked = await Promise.allSettled(Array.from({ length: 24 }, () => acquire(identity.id)))
    expect(asked.filter((answer) => answer.status === 'fulfilled')).toHaveLength(1)
    const codes = new Set(asked.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason.code] : [])))
    expect([...codes].filter((name) => name !== 'busy')).toEqual(['identity-checked-out'])
  })

  test('of a shared identity takes the lowest free slot and never one above the maximum', async () => {
    const shared = await world.addIdentity({ allowConcurrentCheckout: true, maxConcurrentSessions: 2 })
    const first = await acquire(shared.id)
    const second = await acquire(shared.id)
    await expect(acquire(shared.id)).rejects.toEqual(code('max-concurrent-sessions'))
    await checkIn(first.lease.leaseId)
    expect([second.lease.slot, (await acquire(shared.id)).lease.slot]).toEqual([1, 0])
  })

  test('is repeated with the same lease, on record, and refused when the key was used for something else', async () => {
    const leaseId = LeaseId.parse(randomUUID())
    await acquire(identity.id, { leaseId })
    expect(await acquire(identity.id, { leaseId })).toMatchObject({ replayed: true, lease: { leaseId }, credential: { username: 'app' } })
    expect([await count('lease'), await count('exposure'), await count('audit_event', `action = 'lease.replayed'`)]).toEqual([1, 2, 1])
    await expect(acquire(identity.id, { leaseId, requestHash: Buffer.alloc(32, 2) })).rejects.toEqual(code('idempotency-key-reused'))
    const other = await world.addIdentity()
    await expect(acquire(other.id, { leaseId })).rejects.toEqual(code('idempotency-key-reused'))
    await checkIn(leaseId)
    expect(await acquire(identity.id, { leaseId })).toMatchObject({ replayed: true, lease: { state: 'ended' }, credential: null })
  })

  test('of an inject-only identity shows nothing and exposes nothing', async () => {
    const hidden = await world.addIdentity({ exposure: 'inject_only' })
    expect((await acquire(hidden.id)).credential).toBeNull()
    expect(await count('exposure')).toBe(0)
  })

  test('needs authority at the moment of the decision, whatever the caller read before', async () => {
    await database.superuser(`update account_user set state = 'disabled' where account_id = $1 and id = $2`, [world.account.id, mia.userId])
    await expect(acquire(identity.id)).rejects.toEqual(code('forbidden'))
  })
})

describe('the end of a lease', () => {
  test('happens once, whatever races, and owes the rotation of what was shown', async () => {
    const { lease } = await acquire(identity.id)
    await Promise.all(Array.from({ length: 8 }, () => checkIn(lease.leaseId).catch((error: { code: string }) => expect(error.code).toBe('busy'))))
    const ended = await world.account.run((trx) => readLease(trx, lease.leaseId))
    expect(ended).toMatchObject({ state: 'ended', endCause: 'checked_in', rotationOwed: true, rotation: { state: 'pending' } })
    expect([await count('audit_event', `action = 'lease.ended'`), await count('rotation'), await count('obligation', `kind = 'rotation'`)]).toEqual([1, 1, 1])
    await expect(acquire(identity.id)).rejects.toEqual(code('identity-awaiting-rotation', { rotationId: ended.rotation?.id, hostIds: [world.hostId] }))
  })

  test('owes nothing when the identity does not rotate after use', async () => {
    const { lease } = await acquire((await world.addIdentity()).id)
    expect(await checkIn(lease.leaseId)).toMatchObject({ state: 'ended', rotationOwed: false, rotation: null })
  })

  test('with others still holding owes the rotation, which begins when the last one leaves', async () => {
    const shared = await world.addIdentity({ hostIds: [world.hostId], rotateAfterUse: true, allowConcurrentCheckout: true, maxConcurrentSessions: 3 })
    const [one, two] = [await acquire(shared.id), await acquire(shared.id)]
    expect(await checkIn(one.lease.leaseId)).toMatchObject({ rotationOwed: true, rotation: null })
    await expect(acquire(shared.id)).rejects.toEqual(code('identity-awaiting-rotation'))
    const last = await checkIn(two.lease.leaseId)
    expect(last.rotation?.state).toBe('pending')
    expect((await world.account.run((trx) => readLease(trx, one.lease.leaseId))).rotation?.id).toBe(last.rotation?.id)
  })

  test('by time comes at its time and not before, and an extended lease lives on', async () => {
    const { lease } = await acquire(identity.id, { minutes: 10 })
    const expire = (expectedVersion: number) =>
      world.account.run((trx) => releaseLease(trx, { leaseId: lease.leaseId, cause: 'expired', actor: clock, expectedVersion }))
    await shift('9 minutes 59 seconds')
    expect((await expire(1)).state).toBe('active')
    await world.account.run((trx) => extendLease(trx, { leaseId: lease.leaseId, minutes: 10, principal: mia, actor: world.account.people.mia.actor }))
    await shift('10 minutes 1 second')
    expect((await expire(1)).state).toBe('active')
    await shift('20 minutes 1 second')
    expect((await expire(1)).state).toBe('active')
    expect(await expire(2)).toMatchObject({ state: 'ended', endCause: 'expired', terms: [{ version: 1 }, { version: 2 }] })
  })

  test('is found by the expirer across accounts, and by the next one who asks', async () => {
    const expirer = database.as('leasehold_expirer')
    const { lease } = await acquire(identity.id, { minutes: 5 })
    const overdue = async () => (await listOverdueLeases(expirer, 100)).filter(({ accountId }) => accountId === world.account.id)
    expect(await overdue()).toEqual([])
    await shift('5 minutes 1 second')
    expect(await overdue()).toMatchObject([{ accountId: world.account.id, leaseId: lease.leaseId }])
    const facts = await world.account.run((trx) => readCheckoutFacts(trx, identity.id, null))
    expect([facts.leases, facts.overdue]).toEqual([[], [lease.leaseId]])
    expect(await world.account.run((trx) => endOverdueLeases(trx, identity.id, clock))).toBe(1)
    expect(await world.account.run((trx) => endOverdueLeases(trx, identity.id, clock))).toBe(0)
    expect(await overdue()).toEqual([])
  })
})

describe('an extension', () => {
  const extend = (leaseId: LeaseId, minutes: number, principal = mia) =>
    world.account.run((trx) => extendLease(trx, { leaseId, minutes, principal, actor: { kind: 'user', id: principal.userId } }))

  test('stops at 1440 minutes after the start', async () => {
    const { lease } = await acquire(identity.id, { minutes: 1430 })
    const extended = await extend(lease.leaseId, 60)
    expect(Date.parse(extended.expiresAt) - Date.parse(extended.startedAt)).toBe(1440 * 60_000)
    expect((await extend(lease.leaseId, 60)).version).toBe(2)
  })

  test("is the holder's alone, and comes too late once the time is over", async () => {
    const { lease } = await acquire(identity.id, { minutes: 5 })
    await expect(extend(lease.leaseId, 10, await world.account.principal('ola'))).rejects.toEqual(code('forbidden'))
    await shift('5 minutes 1 second')
    await expect(extend(lease.leaseId, 10)).rejects.toEqual(code('lease-not-active'))
  })
})

test('ending an ended lease changes nothing, even when its identity is deleted since', async () => {
  const gone = await world.addIdentity()
  const { lease } = await acquire(gone.id)
  await checkIn(lease.leaseId)
  await database.superuser('update identity set deleted_at = now() where id = $1', [gone.id])
  expect(await checkIn(lease.leaseId)).toMatchObject({ state: 'ended', endCause: 'checked_in' })
  expect(await count('audit_event', `action = 'lease.ended'`)).toBe(1)
})

describe('a value', () => {
  test('is not revealed to others while somebody holds the identity exclusively', async () => {
    await acquire(identity.id)
    const reveal = (principal: Principal) =>
      world.account.run((trx) =>
        revealCredential(trx, { identityId: identity.id, hostId: null, principal, actor: { kind: 'user', id: principal.userId }, open }),
      )
    await database.superuser(`insert into vault_grant (account_id, vault_id, idp_user_id, level, created_by) values ($1, $2, $3, 'view_credentials', $4)`, [
      world.account.id,
      world.vaultId,
      world.account.people.sam.idpUserId,
      mia.userId,
    ])
    await expect(reveal(await world.account.principal('sam'))).rejects.toEqual(code('identity-checked-out', { holder: 'mia' }))
    expect((await reveal(mia)).username).toBe('app')
  })

  test('of a lease is shown again to its holder while the lease lives, each time on record', async () => {
    const { lease } = await acquire(identity.id)
    const show = () =>
      world.account.run((trx) => showLeaseCredential(trx, { leaseId: lease.leaseId, principal: mia, actor: world.account.people.mia.actor, open }))
    expect((await show()).value.expose()).toBe('opened')
    expect(await count('audit_event', `action = 'lease.credential_read'`)).toBe(1)
    await checkIn(lease.leaseId)
    await expect(show()).rejects.toEqual(code('lease-not-active'))
  })
})

test('a lease of another account is not found', async () => {
  const { lease } = await acquire(identity.id)
  const stranger = await createVaultWorld(database, api)
  await expect(inAccount(api, stranger.account.id, (trx) => readLease(trx, lease.leaseId))).rejects.toEqual(code('not-found'))
})

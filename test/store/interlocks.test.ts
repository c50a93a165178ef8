import { spawn } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { LeaseId } from '#schemas/ids.ts'
import type { Identity } from '#schemas/identity.ts'
import type { Principal } from '#schemas/principal.ts'
import { Secret } from '#schemas/secret.ts'
import { acquireLease } from '#store/acquire-lease.ts'
import { reviewLeases } from '#store/access-review.ts'
import { beginRotation } from '#store/begin-rotation.ts'
import { changeIdentity } from '#store/change-identity.ts'
import type { Db } from '#store/connection.ts'
import { extendLease } from '#store/extend-lease.ts'
import { readIdentity } from '#store/identity.ts'
import { readLease } from '#store/lease.ts'
import { releaseLease } from '#store/release-lease.ts'
import { changeUser } from '#store/user.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { hold, untilWaiting } from '../support/hold.ts'
import { checkOut } from '../support/leases.ts'
import { createVaultWorld, type VaultWorld } from '../support/vault-world.ts'

/** Two real transactions at the same instant: one stands before its commit, the other one waits for it. */

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
  identity = await world.addIdentity({ hostIds: [world.hostId] })
})

const clock = { kind: 'system', id: 'expirer' } as const
const code = (name: string) => expect.objectContaining({ code: name })
const shift = (interval: string) =>
  database.superuser('insert into clock_shift values ($1, $2) on conflict (account_id) do update set shift = excluded.shift', [world.account.id, interval])
const count = async (table: string, where: string): Promise<number> =>
  Number((await database.superuser(`select count(*) from ${table} where account_id = $1 and ${where}`, [world.account.id])).rows[0].count)

const extend = (leaseId: LeaseId) => (trx: Parameters<typeof extendLease>[0]) =>
  extendLease(trx, { leaseId, minutes: 10, principal: mia, actor: world.account.people.mia.actor })
const expire = (leaseId: LeaseId) => (trx: Parameters<typeof releaseLease>[0]) =>
  releaseLease(trx, { leaseId, cause: 'expired', actor: clock, expectedVersion: 1 })
const rotate = (trx: Parameters<typeof beginRotation>[0]) =>
  beginRotation(trx, { identityId: identity.id, trigger: 'manual', actor: world.account.people.mia.actor })

describe('an extension and the expiry of its lease at the same instant', () => {
  test('extension first: the expiry waits, finds another version and lets the lease live', async () => {
    const lease = await world.account.run((trx) => checkOut(trx, mia, identity.id, 10))
    await shift('9 minutes 50 seconds')
    const extension = hold(world.account.run, extend(lease.leaseId))
    await extension.reached
    const expiry = world.account.run(expire(lease.leaseId))
    await untilWaiting(database)
    await shift('10 minutes 1 second')
    extension.go()
    await extension.result
    expect(await expiry).toMatchObject({ state: 'active', version: 2, endedAt: null })
    expect(await count('audit_event', `action = 'lease.ended'`)).toBe(0)
  })

  test('expiry first: the extension waits and is refused', async () => {
    const lease = await world.account.run((trx) => checkOut(trx, mia, identity.id, 10))
    await shift('10 minutes 1 second')
    const expiry = hold(world.account.run, expire(lease.leaseId))
    await expiry.reached
    const refused = expect(world.account.run(extend(lease.leaseId))).rejects.toEqual(code('lease-not-active'))
    await untilWaiting(database)
    expiry.go()
    await Promise.all([expiry.result, refused])
    expect(await world.account.run((trx) => readLease(trx, lease.leaseId))).toMatchObject({ state: 'ended', endCause: 'expired', version: 1 })
  })

  test('two ends at once are one end, with one event', async () => {
    const lease = await world.account.run((trx) => checkOut(trx, mia, identity.id, 10))
    await shift('10 minutes 1 second')
    const checkin = hold(world.account.run, (trx) =>
      releaseLease(trx, { leaseId: lease.leaseId, cause: 'checked_in', actor: world.account.people.mia.actor, endedBy: mia.userId }),
    )
    await checkin.reached
    const expiry = world.account.run(expire(lease.leaseId))
    await untilWaiting(database)
    checkin.go()
    await checkin.result
    expect(await expiry).toMatchObject({ state: 'ended', endCause: 'checked_in' })
    expect(await count('audit_event', `action = 'lease.ended'`)).toBe(1)
  })
})

describe('a checkout and a manual rotation at the same instant', () => {
  test('checkout first: the rotation waits and is refused, naming the holder', async () => {
    const checkout = hold(world.account.run, (trx) => checkOut(trx, mia, identity.id))
    await checkout.reached
    const refused = expect(world.account.run(rotate)).rejects.toMatchObject({ code: 'identity-currently-checked-out', facts: { holder: 'mia' } })
    await untilWaiting(database)
    checkout.go()
    await Promise.all([checkout.result, refused])
    expect(await count('rotation', 'true')).toBe(0)
  })

  test('rotation first: the checkout waits, and is granted, because a rotation that nobody has claimed blocks nobody', async () => {
    const rotation = hold(world.account.run, rotate)
    await rotation.reached
    const checkout = world.account.run((trx) => checkOut(trx, mia, identity.id))
    await untilWaiting(database)
    rotation.go()
    await rotation.result
    expect(await checkout).toMatchObject({ state: 'active', credentialVersion: 1 })
  })

  test('another credential stored meanwhile cancels the rotation that nobody has claimed, and the next checkout gets it', async () => {
    const rotation = hold(world.account.run, rotate)
    await rotation.reached
    const seal = () => ({ sealed: { encryptionVersion: 2 as const, keyId: 'o1', ciphertext: randomBytes(48) }, hash: randomBytes(32) })
    const change = world.account.run((trx) => changeIdentity(trx, { id: identity.id, change: {}, seal, actor: world.account.people.mia.actor }))
    await untilWaiting(database)
    rotation.go()
    const { rotationId } = await rotation.result
    expect(await change).toMatchObject({ credentialVersion: 2 })
    expect(await count('rotation', `id = '${rotationId}' and state = 'cancelled'`)).toBe(1)
    expect(await world.account.run((trx) => checkOut(trx, mia, identity.id))).toMatchObject({ credentialVersion: 2 })
  })
})

describe('a checkout and the disabling of its user at the same instant', () => {
  const disable = (trx: Parameters<typeof changeUser>[0]) =>
    changeUser(trx, { id: world.account.people.sam.userId, caller: mia, actor: world.account.people.mia.actor }, { state: 'disabled' })
  let sam: Principal
  beforeEach(async () => {
    await database.superuser(`insert into vault_grant (account_id, vault_id, idp_user_id, level, created_by) values ($1, $2, $3, 'checkout', $4)`, [
      world.account.id,
      world.vaultId,
      world.account.people.sam.idpUserId,
      mia.userId,
    ])
    sam = await world.account.principal('sam')
  })

  test('checkout first: the disabling waits, then the lease is found and ended', async () => {
    const checkout = hold(world.account.run, (trx) => checkOut(trx, sam, identity.id))
    await checkout.reached
    const disabling = world.account.run(disable)
    await untilWaiting(database)
    checkout.go()
    const { leaseId } = await checkout.result
    await disabling
    expect(await reviewLeases(world.account.run, { userId: sam.userId }, clock)).toBe(1)
    expect(await world.account.run((trx) => readLease(trx, leaseId))).toMatchObject({ state: 'ended', endCause: 'revoked' })
    expect(await reviewLeases(world.account.run, { userId: sam.userId }, clock)).toBe(0)
  })

  test('disabling first: the checkout waits and leaves nothing behind, not even one of 12 that ask', async () => {
    const disabling = hold(world.account.run, disable)
    await disabling.reached
    /** Whoever waits for too long is told so and asks again. */
    const ask = async (): Promise<unknown> => {
      const answer = await world.account.run((trx) => checkOut(trx, sam, identity.id)).catch((error: { code: string }) => error.code)
      return answer === 'busy' ? ask() : answer
    }
    const asked = Array.from({ length: 6 }, ask)
    await untilWaiting(database, 6)
    disabling.go()
    await disabling.result
    const later = Array.from({ length: 6 }, ask)
    expect(new Set(await Promise.all([...asked, ...later]))).toEqual(new Set(['forbidden']))
    expect([await count('lease', 'true'), await count('exposure', 'true'), await count('obligation', `kind = 'lease'`)]).toEqual([0, 0, 0])
  })
})

test('two requests with one Idempotency-Key for two identities at once: one lease, and the other one is told', async () => {
  const other = await world.addIdentity({ hostIds: [world.hostId] })
  const leaseId = LeaseId.parse(randomUUID())
  const acquire = (id: Identity['id'], mark: number) => (trx: Parameters<typeof acquireLease>[0]) =>
    acquireLease(trx, {
      leaseId,
      identityId: id,
      vault: { vaultId: world.vaultId, organizationId: world.organizationId },
      hostId: null,
      minutes: 30,
      principal: mia,
      actor: world.account.people.mia.actor,
      requestHash: Buffer.alloc(32, mark),
      reason: { encryptionVersion: 2, keyId: 'o1', ciphertext: randomBytes(40) },
      open: () => Secret.of('opened'),
    })
  const first = hold(world.account.run, acquire(identity.id, 1))
  await first.reached
  // Its last write travels with the commit and may still be on its way to the barrier.
  const written = `select from pg_locks l join pg_class c on c.oid = l.relation where c.relname = 'lease' and l.mode = 'RowExclusiveLock' and l.granted`
  await expect.poll(async () => (await database.superuser(written)).rowCount, { interval: 5 }).toBeGreaterThan(0)
  const refused = expect(world.account.run(acquire(other.id, 2))).rejects.toEqual(code('idempotency-key-reused'))
  await untilWaiting(database)
  first.go()
  await Promise.all([first.result, refused])
  expect([await count('lease', 'true'), await count('exposure', 'true')]).toEqual([1, 1])
})

test('a replica that is frozen inside a transaction holds an identity for at most 2 s, and what it wanted to write is not written', async () => {
  const setup = { url: database.url, password: database.password, account: world.account.id, identity: identity.id }
  const frozen = spawn(process.execPath, [path.join(import.meta.dirname, '../support/frozen-replica.ts')], {
    env: { ...process.env, LEASEHOLD_TEST_FROZEN: JSON.stringify(setup) },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: frozen.stdout })[Symbol.asyncIterator]()
  try {
    expect(await lines.next()).toEqual({ done: false, value: 'locked' })
    const began = performance.now()
    const attempt = async (): Promise<unknown> => world.account.run((trx) => checkOut(trx, mia, identity.id)).catch((error: { code: string }) => error.code)
    const answers: unknown[] = [await attempt()]
    while (answers.at(-1) === 'busy') answers.push(await attempt())
    const waited = performance.now() - began
    expect(answers.at(-1)).toMatchObject({ state: 'active' })
    expect(answers[0]).toBe('busy')
    expect(waited).toBeGreaterThan(1_000)
    expect(waited).toBeLessThan(2_500)
    frozen.kill('SIGCONT')
    expect(['busy', 'dependency-unavailable']).toContain((await lines.next()).value)
    expect((await world.account.run((trx) => readIdentity(trx, identity.id))).username).toBe('app')
  } finally {
    frozen.kill('SIGKILL')
  }
})

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { JobId, RotationId } from '#schemas/ids.ts'
import type { Identity } from '#schemas/identity.ts'
import type { Principal } from '#schemas/principal.ts'
import { changeHost } from '#store/change-host.ts'
import { claimJob } from '#store/claim-job.ts'
import type { Transaction } from '#store/connection.ts'
import { revokeConnector } from '#store/connector.ts'
import { readLease } from '#store/lease.ts'
import { releaseLease } from '#store/release-lease.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { hold, untilWaiting } from '../support/hold.ts'
import { checkOut } from '../support/leases.ts'
import { rotationActs, type RotationActs } from '../support/rotation-acts.ts'
import { createVaultWorld, type VaultWorld } from '../support/vault-world.ts'

/** A connector's claim against everything else that may happen to its identity at the same instant. */

let database: TestDatabase
let world: VaultWorld
let acts: RotationActs
let identity: Identity
let mia: Principal
let jobId: JobId
let rotationId: RotationId
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database?.end())
beforeEach(async () => {
  world = await createVaultWorld(database, database.as('leasehold_api', 4))
  acts = await rotationActs(database, world)
  mia = await world.account.principal('mia')
  identity = await world.addIdentity({ hostIds: [world.hostId] })
  rotationId = await acts.begin(identity.id)
  jobId = (await acts.open(rotationId))[0] as JobId
})

const claim =
  (epoch = 1, instance: string = randomUUID()) =>
  (trx: Transaction) =>
    claimJob(trx, { jobId, epoch, instance, connectorId: world.connectorId })
const take = () => world.account.run((trx) => checkOut(trx, mia, identity.id))
const job = async () => (await acts.read(rotationId)).jobs[0]

describe('a claim and a checkout at the same instant', () => {
  test('claim first: the checkout waits and is refused while the account is being changed', async () => {
    const claiming = hold(acts.asBridge, claim())
    await claiming.reached
    const refused = expect(take()).rejects.toMatchObject({ code: 'identity-rotating', facts: { rotationId } })
    await untilWaiting(database)
    claiming.go()
    expect(await claiming.result).toMatchObject({ epoch: 1 })
    await refused
  })

  test('checkout first: the claim waits and is put off; the checkin lets it through', async () => {
    const checkout = hold(world.account.run, (trx) => checkOut(trx, mia, identity.id))
    await checkout.reached
    const claiming = acts.asBridge(claim())
    await untilWaiting(database)
    checkout.go()
    const { leaseId } = await checkout.result
    expect(await claiming).toEqual({ refused: 'later' })
    await world.account.run((trx) => releaseLease(trx, { leaseId, cause: 'checked_in', actor: world.account.people.mia.actor }))
    expect(await acts.asBridge(claim())).toMatchObject({ epoch: 1 })
  })

  test('a lease past its end does not put a claim off, although no clock has ended it', async () => {
    const { leaseId } = await take()
    await database.superuser(`insert into clock_shift values ($1, '31 minutes')`, [world.account.id])
    expect(await acts.asBridge(claim())).toMatchObject({ epoch: 1 })
    expect(await acts.asWorker((trx) => readLease(trx, leaseId))).toMatchObject({ state: 'ended', endCause: 'expired' })
  })
})

describe('a claim', () => {
  test('of two instances at once is given to one', async () => {
    const [one, two] = [randomUUID(), randomUUID()]
    const first = hold(acts.asBridge, claim(1, one))
    await first.reached
    const second = acts.asBridge(claim(1, two))
    await untilWaiting(database)
    first.go()
    expect(await first.result).toMatchObject({ epoch: 1 })
    expect(await second).toEqual({ refused: 'gone' })
    expect(await job()).toMatchObject({ state: 'claimed', epoch: 1 })
  })

  test('that comes late, for an epoch that is over or a job that is final, gets nothing', async () => {
    expect(await acts.asBridge(claim(2))).toEqual({ refused: 'gone' })
    await acts.asBridge(claim(1))
    expect(await acts.asBridge(claim(1))).toEqual({ refused: 'gone' })
    await database.superuser(`update job set state = 'confirmed' where id = $1`, [jobId])
    expect(await acts.asBridge(claim(1))).toEqual({ refused: 'gone' })
    expect(await acts.asBridge(claim(2))).toEqual({ refused: 'gone' })
  })

  test('and the deregistration of its connector: whichever commits first counts', async () => {
    const revocation = hold(world.account.run, (trx) => revokeConnector(trx, world.connectorId, world.account.people.mia.actor))
    await revocation.reached
    const claiming = acts.asBridge(claim())
    await untilWaiting(database)
    revocation.go()
    await revocation.result
    expect(await claiming).toEqual({ refused: 'gone' })
    expect(await job()).toMatchObject({ state: 'waiting', epoch: 0 })
  })

  test('of a host that is changed meanwhile waits, and gets the new address', async () => {
    const change = hold(world.account.run, (trx) => changeHost(trx, world.hostId, { address: 'new.internal' }, world.account.people.mia.actor))
    await change.reached
    const claiming = acts.asBridge(claim())
    await untilWaiting(database)
    change.go()
    await change.result
    expect(await claiming).toMatchObject({ target: { address: 'new.internal' } })
  })

  test('ends the drain of an identity that took no new holders until it went through', async () => {
    await database.superuser(`update identity set draining_since = clock_timestamp() where id = $1`, [identity.id])
    await expect(take()).rejects.toMatchObject({ code: 'identity-draining' })
    await acts.asBridge(claim())
    const { rows } = await database.superuser(`select draining_since from identity where id = $1`, [identity.id])
    expect(rows).toEqual([{ draining_since: null }])
  })
})

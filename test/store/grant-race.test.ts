import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createGrant, revokeGrant } from '#store/grant.ts'
import { reviewLeases } from '#store/access-review.ts'
import { readLease } from '#store/lease.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { hold, untilWaiting } from '../support/hold.ts'
import { checkOut } from '../support/leases.ts'
import { createVaultWorld, type VaultWorld } from '../support/vault-world.ts'

let database: TestDatabase
let world: VaultWorld
beforeAll(async () => {
  database = await createTestDatabase()
  world = await createVaultWorld(database, database.as('leasehold_api', 8))
})
afterAll(() => database?.end())

async function grantToSam(): Promise<string> {
  const { account, vaultId } = world
  const mia = await account.principal('mia')
  const { id } = await account.run((trx) =>
    createGrant(
      trx,
      { id: uuidv7(), vaultId, principal: mia, actor: account.people.mia.actor },
      { principal: { type: 'user', id: account.people.sam.idpUserId }, level: 'checkout' },
    ),
  )
  return id
}

describe('a checkout and the revocation of the grant that it rests on, at the same instant', () => {
  test('checkout first: the revocation waits, then finds the lease and ends it', async () => {
    const { account, vaultId } = world
    const { actor } = account.people.ola
    const grantId = await grantToSam()
    const identity = await world.addIdentity()
    const sam = await account.principal('sam')
    const checkout = hold(account.run, (trx) => checkOut(trx, sam, identity.id))
    await checkout.reached
    const revocation = account.run((trx) => revokeGrant(trx, vaultId, grantId, actor))
    await untilWaiting(database)
    checkout.go()
    const { leaseId } = await checkout.result
    await revocation
    await reviewLeases(account.run, { vaultId }, actor)
    expect(await account.run((trx) => readLease(trx, leaseId))).toMatchObject({ state: 'ended', endCause: 'grant_ended' })
  })

  test('revocation first: the checkout waits, then is refused and leaves nothing behind', async () => {
    const { account, vaultId } = world
    const grantId = await grantToSam()
    const identity = await world.addIdentity()
    const sam = await account.principal('sam')
    const revocation = hold(account.run, (trx) => revokeGrant(trx, vaultId, grantId, account.people.ola.actor))
    await revocation.reached
    const checkout = account.run((trx) => checkOut(trx, sam, identity.id))
    const refused = expect(checkout).rejects.toMatchObject({ code: 'forbidden' })
    await untilWaiting(database)
    revocation.go()
    await Promise.all([revocation.result, refused])
    const { rows } = await database.superuser(
      `select (select count(*)::int from lease where identity_id = $1) as leases, (select count(*)::int from exposure where identity_id = $1) as exposures`,
      [identity.id],
    )
    expect(rows).toEqual([{ leases: 0, exposures: 0 }])
  })
})

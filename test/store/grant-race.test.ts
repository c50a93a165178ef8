import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createGrant, endLeaseWithoutGrant, revokeGrant, standardLeases } from '#store/grant.ts'
import { readLease } from '#store/lease.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { checkOut } from '../support/leases.ts'
import { createVaultWorld, type VaultWorld } from '../support/vault-world.ts'

let database: TestDatabase
let world: VaultWorld
beforeAll(async () => {
  database = await createTestDatabase()
  world = await createVaultWorld(database, database.as('leasehold_api', 8))
})
afterAll(() => database?.end())

/** Opens when told. */
function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}

/** Resolves once some session waits for a lock in this database. */
async function somebodyWaits(): Promise<void> {
  for (let turn = 0; turn < 100; turn += 1) {
    const { rows } = await database.superuser(
      `select count(*)::int as waiting from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    )
    if (rows[0].waiting > 0) return
  }
  throw new Error('nobody waits')
}

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
    const [held, release] = [gate(), gate()]
    const checkout = account.run(async (trx) => {
      const lease = await checkOut(trx, sam, identity.id)
      held.open()
      await release.opened
      return lease
    })
    await held.opened
    const revocation = account.run((trx) => revokeGrant(trx, vaultId, grantId, actor))
    await somebodyWaits()
    release.open()
    const { leaseId } = await checkout
    await revocation
    for (const lease of await account.run((trx) => standardLeases(trx, vaultId))) await account.run((trx) => endLeaseWithoutGrant(trx, vaultId, lease, actor))
    expect(await account.run((trx) => readLease(trx, leaseId))).toMatchObject({ state: 'ended', endCause: 'grant_ended' })
  })

  test('revocation first: the checkout waits, then is refused and leaves nothing behind', async () => {
    const { account, vaultId } = world
    const grantId = await grantToSam()
    const identity = await world.addIdentity()
    const sam = await account.principal('sam')
    const [held, release] = [gate(), gate()]
    const revocation = account.run(async (trx) => {
      await revokeGrant(trx, vaultId, grantId, account.people.ola.actor)
      held.open()
      await release.opened
    })
    await held.opened
    const checkout = account.run((trx) => checkOut(trx, sam, identity.id))
    const refused = expect(checkout).rejects.toMatchObject({ code: 'forbidden' })
    await somebodyWaits()
    release.open()
    await Promise.all([revocation, refused])
    const { rows } = await database.superuser(
      `select (select count(*)::int from lease where identity_id = $1) as leases, (select count(*)::int from exposure where identity_id = $1) as exposures`,
      [identity.id],
    )
    expect(rows).toEqual([{ leases: 0, exposures: 0 }])
  })
})

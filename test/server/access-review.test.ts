import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { v7 as uuidv7 } from 'uuid'
import { startAccessReview } from '#server/access-review.ts'
import { createGrant, revokeGrant } from '#store/grant.ts'
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

/** As it was left by a process that died right after its commit. */
async function grant(expiresAt?: string): Promise<string> {
  const { account, vaultId } = world
  const mia = await account.principal('mia')
  const body = { principal: { type: 'group' as const, id: await group() }, level: 'checkout' as const, ...(expiresAt === undefined ? {} : { expiresAt }) }
  return (await account.run((trx) => createGrant(trx, { id: uuidv7(), vaultId, principal: mia, actor: account.people.mia.actor }, body))).id
}

async function group(): Promise<string> {
  const id = uuidv7()
  await database.superuser('insert into idp_group (account_id, id, name) values ($1, $2, $3)', [world.account.id, id, `group ${id}`])
  await database.superuser('insert into idp_group_member (account_id, group_id, idp_user_id) values ($1, $2, $3)', [
    world.account.id,
    id,
    world.account.people.sam.idpUserId,
  ])
  return id
}

test('a revocation whose process died before it ended the leases is finished; a lease that another grant carries is shortened to it', async () => {
  const { account, vaultId } = world
  const soon = new Date(Date.now() + 600_000).toISOString()
  const [lasting, short] = [await grant(), await grant(soon)]
  const sam = await account.principal('sam')
  const [identity, other] = [await world.addIdentity(), await world.addIdentity()]
  const lease = await account.run((trx) => checkOut(trx, sam, identity.id, 60))
  const read = () => account.run((trx) => readLease(trx, lease.leaseId))
  const loop = startAccessReview({
    queue: database.as('leasehold_relay'),
    worker: database.as('leasehold_worker'),
    expirer: database.as('leasehold_expirer'),
    log: pino({ level: 'silent' }),
    onEnded: () => {},
  })
  try {
    await account.run((trx) => revokeGrant(trx, vaultId, lasting, account.people.ola.actor))
    await expect.poll(read, { timeout: 5_000 }).toMatchObject({ state: 'active', version: 2, expiresAt: soon })
    const later = await account.run((trx) => checkOut(trx, sam, other.id, 60).catch(() => undefined))
    expect(later?.expiresAt).toBe(soon)
    await account.run((trx) => revokeGrant(trx, vaultId, short, account.people.ola.actor))
    await expect.poll(read, { timeout: 5_000 }).toMatchObject({ state: 'ended', endCause: 'grant_ended' })
    await expect
      .poll(async () => (await database.superuser(`select count(*)::int as owed from obligation where kind = 'vault_access' and delivered < version`)).rows)
      .toEqual([{ owed: 0 }])
  } finally {
    await loop.stop()
  }
})

import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { CreateGrant, Grant } from '#schemas/grant.ts'
import { createGrant, listGrants, readGrant, revokeGrant } from '#store/grant.ts'
import { reviewLeases } from '#store/access-review.ts'
import { searchPrincipals } from '#store/idp.ts'
import { readLease } from '#store/lease.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { checkOut } from '../support/leases.ts'
import { createVaultWorld, type VaultWorld } from '../support/vault-world.ts'

let database: TestDatabase
let world: VaultWorld
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database?.end())

const code = (name: string) => expect.objectContaining({ code: name })

async function give(body: CreateGrant, by: 'mia' | 'ola' = 'ola'): Promise<Grant> {
  const { account, vaultId } = world
  const principal = await account.principal(by)
  return account.run((trx) => createGrant(trx, { id: uuidv7(), vaultId, principal, actor: account.people[by].actor }, body))
}

async function addGroup(members: readonly ('mia' | 'ola' | 'sam')[]): Promise<string> {
  const id = uuidv7()
  await database.superuser('insert into idp_group (account_id, id, name) values ($1, $2::uuid, $2::text)', [world.account.id, id])
  for (const member of members) {
    await database.superuser('insert into idp_group_member (account_id, group_id, idp_user_id) values ($1, $2, $3)', [
      world.account.id,
      id,
      world.account.people[member].idpUserId,
    ])
  }
  return id
}

/** What a DELETE of a grant does. */
async function revoke(grantId: string): Promise<void> {
  const { account, vaultId } = world
  const { actor } = account.people.ola
  await account.run((trx) => revokeGrant(trx, vaultId, grantId, actor))
  await reviewLeases(account.run, { vaultId }, actor)
}

describe('a grant', () => {
  beforeAll(async () => {
    world = await createVaultWorld(database, database.as('leasehold_api'))
  })

  test('goes to a user of the directory, named by record or by login, once at a time', async () => {
    const { idpUserId, userId } = world.account.people.sam
    const grant = await give({ principal: { type: 'user', id: userId }, level: 'view_credentials' })
    expect(grant).toMatchObject({
      principal: { type: 'user', id: idpUserId, name: 'sam' },
      level: 'view_credentials',
      state: 'active',
      expiresAt: null,
      identityGroupId: world.vaultId,
    })
    await expect(give({ principal: { type: 'user', id: idpUserId }, level: 'checkout' })).rejects.toEqual(code('already-exists'))
    await revoke(grant.id)
    expect(await world.account.run((trx) => readGrant(trx, world.vaultId, grant.id))).toMatchObject({ state: 'revoked' })
    expect((await world.account.run((trx) => listGrants(trx, world.vaultId, { limit: 50, after: null }))).items).toEqual([])
    await expect(give({ principal: { type: 'user', id: idpUserId }, level: 'checkout' })).resolves.toMatchObject({ state: 'active' })
  })

  test('is never given to oneself, directly or through a group, except by an owner', async () => {
    const { ola, mia } = world.account.people
    const group = await addGroup(['ola'])
    await expect(give({ principal: { type: 'user', id: ola.idpUserId }, level: 'checkout' })).rejects.toEqual(code('forbidden'))
    await expect(give({ principal: { type: 'user', id: ola.userId }, level: 'checkout' })).rejects.toEqual(code('forbidden'))
    await expect(give({ principal: { type: 'group', id: group }, level: 'view_vault' })).rejects.toEqual(code('forbidden'))
    await expect(give({ principal: { type: 'user', id: mia.idpUserId }, level: 'checkout' }, 'mia')).resolves.toMatchObject({ level: 'checkout' })
    await expect(give({ principal: { type: 'group', id: group }, level: 'view_vault' }, 'mia')).resolves.toMatchObject({ principal: { type: 'group' } })
  })

  test('ends in the future or not at all', async () => {
    const principal = { type: 'group' as const, id: await addGroup([]) }
    await expect(give({ principal, level: 'checkout', expiresAt: '2020-01-01T00:00:00Z' })).rejects.toMatchObject({
      code: 'validation-failed',
      facts: { errors: [expect.objectContaining({ path: 'expiresAt' })] },
    })
    await expect(give({ principal, level: 'checkout', expiresAt: '2126-01-01T00:00:00Z' })).resolves.toMatchObject({ expiresAt: '2126-01-01T00:00:00.000Z' })
  })

  test('is refused for a principal that is not there', async () => {
    await expect(give({ principal: { type: 'group', id: world.account.people.sam.idpUserId }, level: 'checkout' })).rejects.toEqual(code('not-found'))
  })
})

describe('revoking a grant', () => {
  beforeAll(async () => {
    world = await createVaultWorld(database, database.as('leasehold_api'))
  })

  test('ends the leases that rest on it alone, and no other', async () => {
    const { account } = world
    const own = await give({ principal: { type: 'user', id: account.people.sam.idpUserId }, level: 'checkout' })
    const group = await give({ principal: { type: 'group', id: await addGroup(['sam']) }, level: 'checkout' })
    const [first, second] = [await world.addIdentity(), await world.addIdentity()]
    const sam = await account.principal('sam')
    const mia = await account.principal('mia')
    const lease = await account.run((trx) => checkOut(trx, sam, first.id))
    const owners = await account.run((trx) => checkOut(trx, mia, second.id))
    await revoke(own.id)
    expect((await account.run((trx) => readLease(trx, lease.leaseId))).state).toBe('active')
    await revoke(group.id)
    expect(await account.run((trx) => readLease(trx, lease.leaseId))).toMatchObject({ state: 'ended', endCause: 'grant_ended' })
    expect((await account.run((trx) => readLease(trx, owners.leaseId))).state).toBe('active')
    // A principal that was read before the revocation does not help.
    await expect(account.run((trx) => checkOut(trx, sam, first.id))).rejects.toEqual(code('forbidden'))
    await expect(revoke(group.id)).resolves.toBeUndefined()
  })
})

describe('the directory', () => {
  test('is searched by part of a name or email, in any case, without wildcards', async () => {
    const find = async (query: string) =>
      (await world.account.run((trx) => searchPrincipals(trx, query, { limit: 50, after: null }))).items.map((entry) => entry.name)
    expect(await find('SA')).toEqual(['sam'])
    expect(await find('ola@')).toEqual(['ola'])
    expect(await find('%')).toEqual([])
    expect(await find('_')).toEqual([])
  })
})

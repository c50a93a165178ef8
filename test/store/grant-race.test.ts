import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Transaction } from '#store/connection.ts'
import { createGrant, revokeGrant } from '#store/grant.ts'
import { addMember, createGroup, deleteGroup, removeMember } from '#store/idp-group.ts'
import { changeIdpUser } from '#store/idp-user.ts'
import { reviewLeases } from '#store/access-review.ts'
import { readLease } from '#store/lease.ts'
import { endAssignment } from '#store/role-assignment.ts'
import { changeRole } from '#store/role.ts'
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

describe('a checkout and the end of any other right that it rests on, at the same instant', () => {
  interface Way {
    /** Gives sam what the right rests on. */
    readonly give: () => Promise<void>
    readonly take: (trx: Transaction) => Promise<unknown>
  }
  const one = async (text: string, values: unknown[]): Promise<string> => (await database.superuser(text, values)).rows[0].id

  async function ways(): Promise<Record<string, Way>> {
    const { account, vaultId } = world
    const [mia, sam] = [await account.principal('mia'), account.people.sam]
    const { actor } = account.people.ola
    const as = { caller: mia, actor }
    const roleId = await one('select role_id as id from role_assignment where user_id = $1', [sam.userId])
    const assignmentId = await one('select id from role_assignment where user_id = $1', [sam.userId])
    const groupId = uuidv7()
    const toGroup = async (): Promise<void> => {
      await account.run((trx) => createGroup(trx, { id: groupId, ...as }, { name: groupId, source: 'api' }))
      await account.run((trx) => addMember(trx, { id: groupId, ...as }, sam.idpUserId))
      await account.run((trx) =>
        createGrant(trx, { id: uuidv7(), vaultId, principal: mia, actor }, { principal: { type: 'group', id: groupId }, level: 'checkout' }),
      )
    }
    const toSam = async (): Promise<void> => void (await grantToSam())
    return {
      'a permission of the role': { give: toSam, take: (trx) => changeRole(trx, { id: roleId, ...as }, { permissions: [] }) },
      'the role': { give: toSam, take: (trx) => endAssignment(trx, { id: assignmentId, roleId, ...as }) },
      'the membership of a group': { give: toGroup, take: (trx) => removeMember(trx, { id: groupId, ...as }, sam.idpUserId) },
      'the group': { give: toGroup, take: (trx) => deleteGroup(trx, { id: groupId, ...as }) },
      'the directory record': { give: toSam, take: (trx) => changeIdpUser(trx, { id: sam.idpUserId, ...as }, { state: 'disabled' }) },
    }
  }

  test.each(['a permission of the role', 'the role', 'the membership of a group', 'the group', 'the directory record'])(
    'its end first: %s is gone for the checkout that waited',
    async (name) => {
      // A world of its own: what is taken stays taken.
      world = await createVaultWorld(database, database.as('leasehold_api', 8))
      const { account } = world
      const { give, take } = (await ways())[name] as Way
      await give()
      const identity = await world.addIdentity()
      const sam = await account.principal('sam')
      const revocation = hold(account.run, take)
      await revocation.reached
      const refused = expect(account.run((trx) => checkOut(trx, sam, identity.id))).rejects.toMatchObject({ code: 'forbidden' })
      await untilWaiting(database)
      revocation.go()
      await Promise.all([revocation.result, refused])
      const { rows } = await database.superuser('select count(*)::int as leases from lease where identity_id = $1', [identity.id])
      expect(rows).toEqual([{ leases: 0 }])
    },
  )
})

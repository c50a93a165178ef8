import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { OrganizationId, VaultId } from '#schemas/ids.ts'
import { deleteIdentity } from '#store/delete-identity.ts'
import { nextSecretVersion, readOrganizationSecret, recordOrganizationSecret } from '#store/organization-secret.ts'
import { changeOrganization, createOrganization, readOrganization } from '#store/organization.ts'
import { everything } from '#store/page.ts'
import { changeVault, createVault, deleteVault, listVaults, readVault, readVaultKeyRef } from '#store/vault.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createVaultWorld, type VaultWorld } from '../support/vault-world.ts'

let database: TestDatabase
let world: VaultWorld
beforeAll(async () => {
  database = await createTestDatabase()
  world = await createVaultWorld(database, database.as('leasehold_api'))
})
afterAll(() => database?.end())

const code = (name: string) => expect.objectContaining({ code: name })
const newVault = (name: string): Promise<VaultId> => {
  const { account, organizationId } = world
  return account.run(async (trx) => (await createVault(trx, VaultId.parse(uuidv7()), { organizationId, name }, account.people.mia.actor)).id)
}

describe('an organization', () => {
  test('gets its secret once, and more versions by rotation', async () => {
    const { account } = world
    const { actor } = account.people.mia
    const id = OrganizationId.parse(uuidv7())
    await account.run((trx) => createOrganization(trx, id, { name: 'second', breakGlassMaximumMinutes: 30 }, actor))
    await expect(account.run((trx) => nextSecretVersion(trx, id, false))).rejects.toEqual(code('organization-secret-not-found'))
    expect(await account.run((trx) => readOrganizationSecret(trx, id))).toEqual({ state: 'absent', version: null, versions: [], reencryption: null })
    await account.run((trx) => recordOrganizationSecret(trx, id, 1, actor))
    await expect(account.run((trx) => nextSecretVersion(trx, id, true))).rejects.toEqual(code('organization-secret-exists'))
    await expect(account.run((trx) => recordOrganizationSecret(trx, id, 1, actor))).rejects.toEqual(code('organization-secret-exists'))
    await account.run((trx) => recordOrganizationSecret(trx, id, 2, actor))
    await expect(account.run((trx) => recordOrganizationSecret(trx, id, 2, actor))).rejects.toEqual(code('stale-state'))
    expect(await account.run((trx) => readOrganizationSecret(trx, id))).toMatchObject({ state: 'set', version: 2, versions: [{ version: 1 }, { version: 2 }] })
  })

  test('is changed field by field, and only at the version that the caller saw', async () => {
    const { account, organizationId } = world
    const { actor } = account.people.mia
    const before = await account.run((trx) => readOrganization(trx, organizationId))
    const after = await account.run((trx) => changeOrganization(trx, organizationId, { maximumLeaseMinutes: 240 }, actor, before.version))
    expect(after).toEqual({ ...before, maximumLeaseMinutes: 240, version: before.version + 1 })
    await expect(account.run((trx) => changeOrganization(trx, organizationId, { name: 'x' }, actor, before.version))).rejects.toEqual(
      code('precondition-failed'),
    )
  })
})

describe('a vault', () => {
  test('names its key by the newest organization secret, or by the one asked for', async () => {
    const { account, vaultId, organizationId } = world
    const ref = await account.run((trx) => readVaultKeyRef(trx, vaultId))
    expect(ref).toMatchObject({ accountId: account.id, organizationId, vaultId, keyVersion: 1 })
    expect(ref.vaultSalt).toHaveLength(32)
    expect((await account.run((trx) => readVaultKeyRef(trx, vaultId, 7))).keyVersion).toBe(7)
  })

  test('has a name of its own within its organization', async () => {
    await newVault('twice')
    await expect(newVault('twice')).rejects.toEqual(code('already-exists'))
  })

  test('is deleted only when it is empty, and says how many identities it holds', async () => {
    const { account } = world
    const { actor } = account.people.mia
    const vaultId = await newVault('short-lived')
    const made = [await world.addIdentity({ identityGroupId: vaultId }), await world.addIdentity({ identityGroupId: vaultId })]
    await expect(account.run((trx) => deleteVault(trx, vaultId, actor))).rejects.toMatchObject({
      code: 'vault-not-empty',
      message: 'Cannot delete group with 2 identities',
    })
    for (const { id } of made) await account.run((trx) => deleteIdentity(trx, id, actor))
    await account.run((trx) => deleteVault(trx, vaultId, actor))
    await expect(account.run((trx) => readVault(trx, vaultId))).rejects.toEqual(code('not-found'))
    await expect(newVault('short-lived')).resolves.toBeDefined()
  })

  test('is changed only at the version that the caller saw', async () => {
    const { account } = world
    const { actor } = account.people.mia
    const vaultId = await newVault('described')
    const changed = await account.run((trx) => changeVault(trx, vaultId, { description: 'words' }, actor, 1))
    expect(changed).toMatchObject({ name: 'described', description: 'words', version: 2 })
    await expect(account.run((trx) => deleteVault(trx, vaultId, actor, 1))).rejects.toEqual(code('precondition-failed'))
  })

  test('is listed page by page, without gaps or repeats, and only within the scope', async () => {
    const { account, organizationId } = world
    for (let number = 0; number < 5; number += 1) await newVault(`paged ${number}`)
    const all = await account.run((trx) => listVaults(trx, everything, null, { limit: 200, after: null }))
    const seen: string[] = []
    let after: string | null = null
    do {
      const page = await account.run((trx) => listVaults(trx, everything, null, { limit: 2, after }))
      seen.push(...page.items.map((vault) => vault.id))
      after = page.nextCursor ?? null
    } while (after !== null)
    expect(seen).toEqual(all.items.map((vault) => vault.id))
    const [only] = all.items
    const one = await account.run((trx) => listVaults(trx, { all: false, organizationIds: [], vaultIds: [only?.id ?? ''] }, null, { limit: 200, after: null }))
    expect(one.items).toEqual([only])
    const whole = await account.run((trx) =>
      listVaults(trx, { all: false, organizationIds: [organizationId], vaultIds: [] }, null, { limit: 200, after: null }),
    )
    expect(whole.items).toHaveLength(all.items.length)
  })
})

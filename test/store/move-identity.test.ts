import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import pg from 'pg'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Identity } from '#schemas/identity.ts'
import { ConnectorId, JobId, OrganizationId, VaultId } from '#schemas/ids.ts'
import type { Principal } from '#schemas/principal.ts'
import { beginRotation } from '#store/begin-rotation.ts'
import { changeIdentity } from '#store/change-identity.ts'
import type { Db } from '#store/connection.ts'
import { readIdentity } from '#store/identity.ts'
import { readJobKey } from '#store/job-key.ts'
import { moveIdentity, type Move } from '#store/move-identity.ts'
import { createOrganization } from '#store/organization.ts'
import { recordOrganizationSecret } from '#store/organization-secret.ts'
import { openJobs } from '#store/job.ts'
import { revealCredential } from '#store/reveal.ts'
import { stageVersion } from '#store/stage-version.ts'
import { createVault, deleteVault } from '#store/vault.ts'
import { Secret } from '#schemas/secret.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { hold, untilWaiting } from '../support/hold.ts'
import { checkOut } from '../support/leases.ts'
import { storedValue } from '../support/stored-value.ts'
import { createVaultWorld, type VaultWorld } from '../support/vault-world.ts'

/** Moves beside other decisions at the same instant: one stands before its commit, the other one waits for it. */

let database: TestDatabase
let db: Db
let world: VaultWorld
let mia: Principal
let identity: Identity
let beside: VaultId
beforeAll(async () => {
  database = await createTestDatabase()
  db = database.as('leasehold_api', 12)
})
afterAll(() => database?.end())
beforeEach(async () => {
  world = await createVaultWorld(database, db)
  mia = await world.account.principal('mia')
  identity = await world.addIdentity({ hostIds: [world.hostId] })
  beside = await newVault(world.organizationId)
})

const code = (name: string) => expect.objectContaining({ code: name })
const newVault = async (organizationId: OrganizationId): Promise<VaultId> => {
  const { account } = world
  return account.run(async (trx) => (await createVault(trx, VaultId.parse(uuidv7()), { organizationId, name: uuidv7() }, account.people.mia.actor)).id)
}
const move =
  (to: VaultId, more: Partial<Move> = {}) =>
  (trx: Parameters<typeof moveIdentity>[0]): Promise<Identity> =>
    moveIdentity(trx, {
      id: identity.id,
      from: { vaultId: world.vaultId, organizationId: world.organizationId },
      to,
      principal: mia,
      actor: world.account.people.mia.actor,
      reseal: () => ({ encryptionVersion: 2, keyId: 'o1', ciphertext: randomBytes(40) }),
      keyVersion: 1,
      ...more,
    })
const change = (trx: Parameters<typeof changeIdentity>[0]) =>
  changeIdentity(trx, {
    id: identity.id,
    change: {},
    seal: () => storedValue(),
    actor: world.account.people.mia.actor,
    seen: { vaultId: world.vaultId, credentialType: 'password' },
  })

describe('a move', () => {
  test('before a new value that was sealed for the old vault: the value is not stored', async () => {
    const moving = hold(world.account.run, move(beside))
    await moving.reached
    const changing = world.account.run(change)
    const refused = expect(changing).rejects.toEqual(code('busy'))
    await untilWaiting(database)
    moving.go()
    expect((await moving.result).identityGroupId).toBe(beside)
    await refused
    expect((await world.account.run((trx) => readIdentity(trx, identity.id))).credentialVersion).toBe(1)
  })

  test('after a new value takes the new value along', async () => {
    const changing = hold(world.account.run, change)
    await changing.reached
    const sealed: number[] = []
    const reseal: Move['reseal'] = (_facts, version) => (sealed.push(version), { encryptionVersion: 2, keyId: 'o1', ciphertext: randomBytes(40) })
    const moving = world.account.run(move(beside, { reseal }))
    await untilWaiting(database)
    changing.go()
    expect((await moving).credentialVersion).toBe(2)
    expect(sealed).toEqual([2])
  })

  test('before a checkout or a reveal by a grant of the old vault: they look again, and find no right', async () => {
    const moving = hold(world.account.run, move(beside))
    await moving.reached
    const revealing = world.account.run((trx) =>
      revealCredential(trx, { identityId: identity.id, hostId: null, principal: mia, actor: world.account.people.mia.actor, open: () => Secret.of('opened') }),
    )
    const checking = world.account.run((trx) => checkOut(trx, mia, identity.id))
    const refused = Promise.all([revealing, checking].map((decision) => expect(decision).rejects.toEqual(code('busy'))))
    await untilWaiting(database, 2)
    moving.go()
    await moving.result
    await refused
  })

  test('after a checkout is refused for the lease', async () => {
    const checking = hold(world.account.run, (trx) => checkOut(trx, mia, identity.id))
    await checking.reached
    const refused = expect(world.account.run(move(beside))).rejects.toEqual(code('identity-checked-out'))
    await untilWaiting(database)
    checking.go()
    await refused
  })

  test('after another move looks again, and so does one whose keys are no longer the newest', async () => {
    const other = await newVault(world.organizationId)
    await world.account.run(move(beside))
    await expect(world.account.run(move(other))).rejects.toEqual(code('busy'))
    const from = { vaultId: beside, organizationId: world.organizationId }
    await world.account.run((trx) => recordOrganizationSecret(trx, world.organizationId, 2, world.account.people.mia.actor))
    await expect(world.account.run(move(other, { from }))).rejects.toEqual(code('busy'))
    expect((await world.account.run(move(other, { from, keyVersion: 2 }))).identityGroupId).toBe(other)
  })

  test('finds its vault gone, or keeps it from being deleted', async () => {
    const moving = hold(world.account.run, move(beside))
    await moving.reached
    const { actor } = world.account.people.mia
    const refused = expect(world.account.run((trx) => deleteVault(trx, beside, actor))).rejects.toEqual(code('vault-not-empty'))
    await untilWaiting(database)
    moving.go()
    await moving.result
    await refused
    await world.account.run((trx) => deleteVault(trx, world.vaultId, actor))
    await expect(world.account.run(move(world.vaultId, { from: { vaultId: beside, organizationId: world.organizationId } }))).rejects.toEqual(code('not-found'))
  })

  test('asks behind the lock whether the mover still manages both vaults', async () => {
    const { account } = world
    const ola = await account.principal('ola')
    const elsewhere = OrganizationId.parse(uuidv7())
    await account.run(async (trx) => {
      await createOrganization(trx, elsewhere, { name: 'other' }, account.people.mia.actor)
      await recordOrganizationSecret(trx, elsewhere, 1, account.people.mia.actor)
    })
    const target = await newVault(elsewhere)
    await database.superuser('update role_assignment set organization_id = $2 where user_id = $1', [ola.userId, world.organizationId])
    const foreign = move(target, { principal: ola })
    await expect(account.run(foreign)).rejects.toMatchObject({ code: 'forbidden', facts: { missing: 'pam_vaults.manage' } })
    await database.superuser('update role_assignment set valid_to = now() where user_id = $1', [ola.userId])
    await expect(account.run(move(beside, { principal: ola }))).rejects.toEqual(code('forbidden'))
  })
})

test('a result that comes once more after the identity moved is still known by the key of its claim', async () => {
  const { account } = world
  const { actor } = account.people.mia
  const { rotationId } = await account.run((trx) => beginRotation(trx, { identityId: identity.id, trigger: 'manual', actor }))
  await account.run((trx) => stageVersion(trx, rotationId, { version: 2, ...storedValue() }, actor))
  await account.run((trx) => openJobs(trx, rotationId))
  await database.superuser(`update job set state = 'cancelled', finished_at = now() where rotation_id = $1`, [rotationId])
  await database.superuser(`update rotation set state = 'cancelled', phase = 'done' where id = $1`, [rotationId])
  await account.run(move(beside))
  const { rows } = await database.superuser('select id, connector_id from job where rotation_id = $1', [rotationId])
  const [jobId, connectorId] = [JobId.parse(rows[0].id), ConnectorId.parse(rows[0].connector_id)]
  expect(await account.run((trx) => readJobKey(trx, jobId, connectorId, 1))).toMatchObject({ vaultId: world.vaultId })
})

test('an installation of before keeps its password history: each hash gets the vault that its identity is in', async () => {
  await database.superuser('alter table password_history drop column vault_id')
  await database.superuser('alter table credential_version drop column public_key')
  const migration = await readFile(path.join(import.meta.dirname, '../../store/migrations/0030-vault-moves.sql'), 'utf8')
  const owner = new pg.Client({ connectionString: database.ownerUrl })
  await owner.connect()
  await owner.query(migration).finally(() => owner.end())
  const { rows } = await database.superuser(
    `select count(*)::int as all, count(*) filter (where p.vault_id = i.vault_id)::int as kept from password_history p join identity i on i.id = p.identity_id`,
  )
  expect(rows[0].all).toBeGreaterThan(0)
  expect(rows[0].kept).toBe(rows[0].all)
  const { rows: forced } = await database.superuser(`select relforcerowsecurity from pg_class where relname in ('identity', 'password_history')`)
  expect(forced).toEqual([{ relforcerowsecurity: true }, { relforcerowsecurity: true }])
})

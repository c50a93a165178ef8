import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createReencryptionActivities, type ReencryptionPage } from '#activities/reencryption.ts'
import { Secret } from '#schemas/secret.ts'
import { seal } from '#secrets/envelope.ts'
import { createOpenBao } from '#secrets/openbao.ts'
import { createOrganizationSecrets, type OrganizationSecrets } from '#secrets/organization-secret.ts'
import { createVaultKeys } from '#secrets/vault-keys.ts'
import { readOrganizationSecret, recordOrganizationSecret } from '#store/organization-secret.ts'
import { readVaultKeyRef } from '#store/vault.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { checkOut } from '../support/leases.ts'
import { sharedOpenBao } from '../support/openbao.ts'
import { createVaultWorld, type VaultWorld } from '../support/vault-world.ts'

let database: TestDatabase
let world: VaultWorld
let secrets: OrganizationSecrets
beforeAll(async () => {
  database = await createTestDatabase()
  const { url, login } = sharedOpenBao()
  secrets = createOrganizationSecrets(createOpenBao({ url, ...login('leasehold-api') }))
})
afterAll(() => database?.end())
beforeEach(async () => {
  world = await createVaultWorld(database, database.as('leasehold_api', 2))
  await secrets.create(world.account.id, world.organizationId, 1)
})

/** An identity with a value and a lease, whose reason is stored as given. */
async function addHeld(keyId: string, ciphertext?: Buffer): Promise<void> {
  const { account, vaultId } = world
  const { id } = await world.addIdentity()
  const mia = await account.principal('mia')
  await account.run((trx) => checkOut(trx, mia, id))
  const key = await createVaultKeys(secrets).get(await account.run((trx) => readVaultKeyRef(trx, vaultId, 1)))
  const value = seal(key, { identityId: id, version: 1, purpose: 'credential' }, Secret.of('value'))
  const reason = seal(key, { identityId: id, version: 0, purpose: 'reason' }, Secret.of('why'))
  await database.superuser('update credential_version set ciphertext = $2, key_id = $3 where identity_id = $1', [id, value.ciphertext, value.keyId])
  await database.superuser('update lease set reason_ciphertext = $2, reason_key_id = $3 where identity_id = $1', [id, ciphertext ?? reason.ciphertext, keyId])
}

/** Rotates the secret and does what the workflow does. @returns how many values each pass has sealed anew */
async function reencrypt(toVersion: number): Promise<number[]> {
  const { account, organizationId } = world
  await secrets.create(account.id, organizationId, toVersion)
  await account.run((trx) => recordOrganizationSecret(trx, organizationId, toVersion, account.people.mia.actor))
  const { rows } = await database.superuser(`select id from reencryption where organization_id = $1 and state = 'running'`, [organizationId])
  const subject = { accountId: account.id, subjectId: rows[0].id }
  const acts = createReencryptionActivities({ db: database.as('leasehold_worker'), vaultKeys: createVaultKeys(secrets) })
  const passes: number[] = []
  do {
    let [resealed, after] = [0, null as ReencryptionPage['next']]
    do {
      const page: ReencryptionPage = await acts.resealPage(subject, after)
      resealed += page.resealed
      after = page.next
    } while (after !== null)
    passes.push(resealed)
  } while (passes.at(-1) !== 0)
  await acts.finishReencryption(subject)
  return passes
}

const outcome = async () => {
  const { rows } = await database.superuser(
    `select count(*)::int as alarms from audit_event where account_id = $1 and action = 'credential.decryption_failed' and organization_id = $2`,
    [world.account.id, world.organizationId],
  )
  const { reencryption } = await world.account.run((trx) => readOrganizationSecret(trx, world.organizationId))
  return { ...reencryption, alarms: rows[0].alarms }
}

test('a value that does not open is counted and on record once, however many passes meet it', async () => {
  await addHeld('o1')
  await addHeld('o1', randomBytes(60))
  expect(await reencrypt(2)).toEqual([3, 0])
  expect(await outcome()).toMatchObject({ state: 'done', resealed: 3, failed: 1, alarms: 1 })
})

test.each(['x', 'o9'])('a value whose key is called %j does not open; all others are sealed anew, and the next rotation begins', async (keyId) => {
  await addHeld('o1')
  await addHeld(keyId)
  expect(await reencrypt(2)).toEqual([3, 0])
  expect(await outcome()).toMatchObject({ state: 'done', toVersion: 2, failed: 1, alarms: 1 })
  expect(await reencrypt(3)).toEqual([3, 0])
  expect(await outcome()).toMatchObject({ state: 'done', toVersion: 3, failed: 1, alarms: 2 })
})

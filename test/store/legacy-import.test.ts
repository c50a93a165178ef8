import { randomBytes } from 'node:crypto'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { IdentityId } from '#schemas/ids.ts'
import type { Transaction } from '#store/connection.ts'
import { closeForLegacy, importLegacy, openForLegacy, readLegacyState, type LegacyIdentity } from '#store/legacy-import.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { hold, untilWaiting } from '../support/hold.ts'
import { createVaultWorld, type VaultWorld } from '../support/vault-world.ts'

let database: TestDatabase
let world: VaultWorld
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database?.end())
beforeEach(async () => {
  world = await createVaultWorld(database, database.as('leasehold_api', 4))
})

const legacy = (): LegacyIdentity => ({
  id: IdentityId.parse(uuidv7()),
  row: { identityGroupId: world.vaultId, name: uuidv7(), username: 'app', credentialType: 'password' },
  value: { sealed: { encryptionVersion: 0, keyId: 'legacy', ciphertext: Buffer.from('value') }, hash: randomBytes(32), hashKeyId: 'o1' },
})
const actor = () => world.account.people.mia.actor
const take = (trx: Transaction) => importLegacy(trx, world.organizationId, [legacy()], actor())
const close = (trx: Transaction) => closeForLegacy(trx, world.organizationId, actor())
const state = () => world.account.run((trx) => readLegacyState(trx, world.organizationId))

test('an organization takes no legacy rows until it is opened, and none any more once it is closed', async () => {
  await expect(world.account.run(take)).rejects.toMatchObject({ code: 'legacy-closed' })
  await world.account.run((trx) => openForLegacy(trx, world.organizationId, actor()))
  await world.account.run(take)
  await world.account.run(close)
  await expect(world.account.run(take)).rejects.toMatchObject({ code: 'legacy-closed' })
  expect(await state()).toMatchObject({ state: 'closed', remaining: { version0: 1, version1: 0 } })
})

test('an import and the closing at the same instant: what was taken first is counted by the closing, what comes later is refused', async () => {
  await world.account.run((trx) => openForLegacy(trx, world.organizationId, actor()))
  const taking = hold(world.account.run, take)
  await taking.reached
  const closing = world.account.run(close)
  await untilWaiting(database)
  taking.go()
  await taking.result
  expect((await closing).remaining.version0).toBe(1)

  const second = hold(world.account.run, close)
  await second.reached
  const refused = expect(world.account.run(take)).rejects.toMatchObject({ code: 'legacy-closed' })
  await untilWaiting(database)
  second.go()
  await refused
})

test('a row that does not fit is named by its number, and none of the others is kept', async () => {
  await world.account.run((trx) => openForLegacy(trx, world.organizationId, actor()))
  const [one, two] = [legacy(), legacy()]
  const twin = { ...two, row: { ...two.row, name: one.row.name } }
  const taking = world.account.run((trx) => importLegacy(trx, world.organizationId, [one, twin], actor()))
  await expect(taking).rejects.toMatchObject({ code: 'already-exists', message: 'Row 1: This exists already' })
  expect((await state()).remaining).toEqual({ version0: 0, version1: 0 })
})

import { randomUUID } from 'node:crypto'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { ConnectorId } from '#schemas/ids.ts'
import { changeHost } from '#store/change-host.ts'
import { recordHello } from '#store/connector-link.ts'
import { createConnector } from '#store/connector.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { rotationActs, type RotationActs } from '../support/rotation-acts.ts'
import { createVaultWorld, type VaultWorld } from '../support/vault-world.ts'

/** More than can be told one by one within the time of a transaction, 2 s. */
const many = 4_000

let database: TestDatabase
let world: VaultWorld
let acts: RotationActs
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database?.end())
beforeEach(async () => {
  world = await createVaultWorld(database, database.as('leasehold_api'))
  acts = await rotationActs(database, world)
  await addWaitingJobs()
})

/** As many identities on one host as there may be, each with a rotation whose job waits. */
async function addWaitingJobs(): Promise<void> {
  const { id } = await world.addIdentity({ hostIds: [world.hostId] })
  const rotationId = await acts.begin(id)
  await acts.open(rotationId)
  const copies = (table: string, key: string, changes: string): string =>
    `insert into ${table} select (jsonb_populate_record(t, ${changes})).* from ${table} t, copy where t.${key} = $2`
  await database.superuser(
    `with copy as (select gen_random_uuid() as i, uuidv7() as r from generate_series(1, $1)),
    identities as (${copies('identity', 'id', `jsonb_build_object('id', i, 'name', i)`)}),
    places as (${copies('identity_host', 'identity_id', `jsonb_build_object('identity_id', i)`)}),
    rotations as (${copies('rotation', 'identity_id', `jsonb_build_object('id', r, 'identity_id', i)`)})
    ${copies('job', 'identity_id', `jsonb_build_object('id', uuidv7(), 'rotation_id', r, 'identity_id', i)`)}`,
    [many, id],
  )
  await database.superuser(`delete from obligation where kind = 'offer'`)
}
const owedOffers = async () =>
  (await database.superuser(`select count(*)::int as owed from obligation where kind = 'offer' and delivered < version`)).rows[0].owed
const hello = () => acts.asBridge((trx) => recordHello(trx, world.connectorId, world.organizationId, { instance: randomUUID(), build: 'a test', open: [] }))

test('a connector for which thousands of jobs wait says hello, and again', async () => {
  expect(await hello()).toBe(true)
  expect(await owedOffers()).toBe(many + 1)
  expect(await hello()).toBe(true)
})

test('a host for which thousands of jobs wait goes to another connector', async () => {
  const other = ConnectorId.parse(uuidv7())
  const { actor } = world.account.people.mia
  await world.account.run((trx) => createConnector(trx, other, { organizationId: world.organizationId, name: 'other' }, actor))
  await world.account.run((trx) => changeHost(trx, world.hostId, { connectorId: other }, actor))
  expect(await owedOffers()).toBe(many + 1)
})

import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ConnectorId, HostId, type IdentityId } from '#schemas/ids.ts'
import type { CreateHost } from '#schemas/host.ts'
import { beginRotation } from '#store/begin-rotation.ts'
import { changeHost, createHost, deleteHost } from '#store/change-host.ts'
import { changeIdentity } from '#store/change-identity.ts'
import { createConnector, revokeConnector } from '#store/connector.ts'
import { deleteIdentity } from '#store/delete-identity.ts'
import { readHost } from '#store/host.ts'
import { openJobs } from '#store/job.ts'
import { stageVersion } from '#store/stage-version.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { storedValue } from '../support/stored-value.ts'
import { createVaultWorld, type VaultWorld } from '../support/vault-world.ts'

let database: TestDatabase
let world: VaultWorld
beforeAll(async () => {
  database = await createTestDatabase()
  world = await createVaultWorld(database, database.as('leasehold_api'))
})
afterAll(() => database?.end())

const code = (name: string) => expect.objectContaining({ code: name })
const addHost = (settings: Partial<CreateHost> = {}) => {
  const { account, organizationId, connectorId } = world
  return account.run((trx) =>
    createHost(
      trx,
      HostId.parse(uuidv7()),
      {
        organizationId,
        name: `host ${uuidv7()}`,
        address: '10.0.0.1',
        port: 5432,
        adapter: 'postgres',
        connectorId,
        ...settings,
      },
      account.people.mia.actor,
    ),
  )
}
const addConnector = () =>
  world.account.run((trx) =>
    createConnector(trx, ConnectorId.parse(uuidv7()), { organizationId: world.organizationId, name: `connector ${uuidv7()}` }, world.account.people.mia.actor),
  )

describe('a host', () => {
  test('has every field that it was made with', async () => {
    const admin = await world.addIdentity()
    const host = await addHost({ name: 'target-2', adminIdentityId: admin.id, parameters: { database: 'orders' } })
    expect(host).toMatchObject({
      organizationId: world.organizationId,
      name: 'target-2',
      address: '10.0.0.1',
      port: 5432,
      adapter: 'postgres',
      connectorId: world.connectorId,
      adminIdentityId: admin.id,
      parameters: { database: 'orders' },
      connectorOnline: false,
      version: 1,
    })
  })

  test('never has an admin identity that is itself reset on it', async () => {
    const { account } = world
    const { actor } = account.people.mia
    const host = await addHost()
    const reset = await world.addIdentity({ hostIds: [host.id] })
    const fault = (path: string) => ({ code: 'validation-failed', facts: { errors: [expect.objectContaining({ path })] } })
    await expect(account.run((trx) => changeHost(trx, host.id, { adminIdentityId: reset.id }, actor))).rejects.toMatchObject(fault('adminIdentityId'))
    const admin = await world.addIdentity()
    await account.run((trx) => changeHost(trx, host.id, { adminIdentityId: admin.id }, actor))
    await expect(account.run((trx) => changeIdentity(trx, { id: admin.id, change: { hostIds: [host.id] }, actor }))).rejects.toMatchObject(fault('hostIds'))
    await expect(account.run((trx) => deleteIdentity(trx, admin.id, actor))).rejects.toEqual(code('in-use'))
  })

  test('is reached through a connector that is not revoked', async () => {
    const { account } = world
    const connector = await addConnector()
    await account.run((trx) => revokeConnector(trx, connector.id, account.people.mia.actor))
    await expect(addHost({ connectorId: connector.id })).rejects.toEqual(code('validation-failed'))
    await expect(addHost({ connectorId: ConnectorId.parse(uuidv7()) })).rejects.toEqual(code('not-found'))
    await expect(addHost({ adminIdentityId: uuidv7() as IdentityId })).rejects.toEqual(code('not-found'))
  })

  test('takes its waiting jobs along to another connector', async () => {
    const { account } = world
    const { actor } = account.people.mia
    const host = await addHost()
    const identity = await world.addIdentity({ hostIds: [host.id] })
    const { rotationId } = await account.run((trx) => beginRotation(trx, { identityId: identity.id, trigger: 'manual', actor }))
    await account.run((trx) => stageVersion(trx, rotationId, { version: 2, ...storedValue() }, actor))
    await account.run((trx) => openJobs(trx, rotationId))
    const connector = await addConnector()
    await account.run((trx) => changeHost(trx, host.id, { connectorId: connector.id }, actor))
    const { rows } = await database.superuser('select connector_id, state from job where rotation_id = $1', [rotationId])
    expect(rows).toEqual([{ connector_id: connector.id, state: 'waiting' }])
    await expect(account.run((trx) => deleteHost(trx, host.id, actor))).rejects.toMatchObject({ code: 'rotation-open', facts: { rotationId } })
  })

  test('is deleted only when no identity names it', async () => {
    const { account } = world
    const { actor } = account.people.mia
    const host = await addHost()
    const identity = await world.addIdentity({ hostIds: [host.id] })
    await expect(account.run((trx) => deleteHost(trx, host.id, actor))).rejects.toEqual(code('in-use'))
    await account.run((trx) => changeIdentity(trx, { id: identity.id, change: { hostIds: [] }, actor }))
    await account.run((trx) => deleteHost(trx, host.id, actor))
    await expect(account.run((trx) => readHost(trx, host.id))).rejects.toEqual(code('not-found'))
    await expect(world.addIdentity({ hostIds: [host.id] })).rejects.toEqual(code('not-found'))
  })
})

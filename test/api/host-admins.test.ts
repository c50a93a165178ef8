import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CreateHost } from '#schemas/host.ts'
import { HostId, type AccountId } from '#schemas/ids.ts'
import { acme } from '#stack/people.ts'
import { createHost } from '#store/change-host.ts'
import { inAccount } from '#store/connection.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
beforeAll(async () => {
  world = await createApiWorld()
})
afterAll(() => world?.end())

test('a host is given an admin identity only by who may have its value: it is told it', async () => {
  const adminIdentityId = await world.addIdentity('root')
  const host = {
    organizationId: world.organizationId,
    name: 'admined',
    address: 'db.internal',
    port: 5432,
    adapter: 'postgres',
    connectorId: world.connectorId,
  }
  const refused = { code: 'forbidden', missing: 'vault access: view_credentials' }
  expect((await world.post('ola', '/v1/hosts', { ...host, adminIdentityId })).body).toMatchObject(refused)
  const { id } = (await world.post('ola', '/v1/hosts', host)).body
  const give = (sub: string) => world.call(sub, 'PATCH', `/v1/hosts/${id}`, { body: { adminIdentityId } })
  expect((await give('ola')).body).toMatchObject(refused)
  expect((await give('mia')).status).toBe(200)
  // What is as it was is given to nobody.
  expect((await give('ola')).status).toBe(200)
})

test('a host whose admin identity one may not see is led nowhere else', async () => {
  const { organizationId, connectorId } = world
  const adminIdentityId = await world.addIdentity('root of a host')
  const host = { organizationId, name: 'led', address: 'db.internal', port: 5432, adapter: 'postgres', connectorId, adminIdentityId }
  const { id } = (await world.post('mia', '/v1/hosts', host)).body
  const change = async (sub: string, body: object) => {
    const answer = await world.call(sub, 'PATCH', `/v1/hosts/${id}`, { body })
    return [answer.status, answer.body.missing]
  }
  for (const body of [{ address: 'mine.internal' }, { port: 15_432 }, { parameters: { database: 'other' } }])
    expect(await change('ola', body)).toEqual([403, 'vault access: view_credentials'])
  expect(await change('ola', { name: 'renamed', address: 'db.internal' })).toEqual([200, undefined])
  expect(await change('mia', { address: 'moved.internal' })).toEqual([200, undefined])
})

test('where others must agree to a checkout, only an owner gives a value to a host', async () => {
  const { organizationId, connectorId } = world
  const identityGroupId = (await world.post('mia', '/v1/identity-groups', { organizationId, name: 'agreed' })).body.id
  const ola = acme.users.find(({ sub }) => sub === 'ola')?.idpId
  await world.post('mia', `/v1/identity-groups/${identityGroupId}/grants`, { principal: { type: 'user', id: ola }, level: 'checkout' })
  const adminIdentityId = await world.addIdentity('agreed root', { identityGroupId })
  await world.post('mia', '/v1/approval-policies', { identityId: adminIdentityId, steps: [{ approvers: [{ type: 'permission' }] }] })
  const host = { organizationId, name: 'agreed', address: 'db.internal', port: 5432, adapter: 'postgres', connectorId, adminIdentityId }
  const refused = await world.post('ola', '/v1/hosts', host)
  expect([refused.status, refused.body.code]).toEqual([403, 'approval-required'])
  expect((await world.post('mia', '/v1/hosts', host)).status).toBe(201)
})

test('hosts that are made at the same time with one admin identity do not wait for each other', async () => {
  const { organizationId, connectorId } = world
  const adminIdentityId = await world.addIdentity('shared root')
  const host = { organizationId, name: 'beside', address: 'db.internal', port: 5432, adapter: 'postgres', connectorId, adminIdentityId }
  const made = await inAccount(world.database.as('leasehold_api', 1), acme.id as AccountId, async (trx) => {
    await createHost(trx, HostId.parse(randomUUID()), CreateHost.parse({ ...host, name: 'first' }), { kind: 'system', id: 'test' })
    return world.post('mia', '/v1/hosts', host)
  })
  expect(made.status).toBe(201)
})

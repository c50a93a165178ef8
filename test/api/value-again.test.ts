import { afterAll, beforeAll, expect, test } from 'vitest'
import { acme } from '#stack/people.ts'
import { AccountId, IdentityId } from '#schemas/ids.ts'
import { changeIdentity } from '#store/change-identity.ts'
import { inAccount } from '#store/connection.ts'
import { ed25519Key } from '../support/ed25519-key.ts'
import { hold, untilWaiting } from '../support/hold.ts'
import { storedValue } from '../support/stored-value.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
const passphrase = 'seven quiet herons of sam'
beforeAll(async () => {
  world = await createApiWorld()
  expect((await world.call('sam', 'PUT', '/v1/me/break-glass-credential', { body: { passphrase } })).status).toBe(200)
})
afterAll(() => world?.end())

/** Shows the value to somebody in an emergency that is over. */
async function seenInEmergency(name: string, settings: { credential?: string } & Record<string, unknown> = { hostIds: [world.hostId] }): Promise<string> {
  const id = await world.addIdentity(name, settings)
  await world.database.superuser(`update lease set started_at = started_at - interval '2 minutes' where mode = 'break_glass'`)
  const asked = { reason: 'INC-2042', justification: 'The on-call approver does not answer.', breakGlassCredential: passphrase }
  const { body, status } = await world.post('sam', `/v1/identities/${id}/break-glass`, asked)
  expect([status, body.credential.value]).toEqual([201, settings.credential ?? `password of ${name}`])
  expect((await world.post('sam', `/v1/leases/${body.lease.id}/checkin`)).status).toBe(200)
  return id
}
const store = (id: string, credential: string) => world.call('mia', 'PATCH', `/v1/identities/${id}`, { body: { credential } })
const pending = async (id: string) =>
  (await world.call('mia', 'GET', `/v1/rotations?identityId=${id}&state=pending`)).body.items.map(({ trigger }: { trigger: string }) => trigger)

test('a value that was seen in an emergency has to die when a person stores it again, also under another key', async () => {
  const id = await seenInEmergency('paid-for')
  expect(await pending(id)).toEqual(['break_glass'])
  expect((await store(id, 'password of paid-for')).status).toBe(200)
  expect(await pending(id)).toEqual(['break_glass'])
  expect((await world.post('ola', `/v1/organizations/${world.organizationId}/secret/rotate`, {})).status).toBe(202)
  expect((await store(id, 'one that nobody has seen')).status).toBe(200)
  expect(await pending(id)).toEqual([])
  expect((await store(id, 'password of paid-for')).status).toBe(200)
  expect(await pending(id)).toEqual(['break_glass'])
  const { rows } = await world.database.superuser(`select version from exposure where identity_id = $1 order by version`, [id])
  expect(rows).toEqual([{ version: 1 }, { version: 2 }, { version: 4 }])
})

test('an SSH key that was seen is the same key however its text is written', async () => {
  const body = { organizationId: world.organizationId, name: 'linux', address: '127.0.0.1', port: 22, adapter: 'ssh', connectorId: world.connectorId }
  const key = ed25519Key().private
  const { id: hostId } = (await world.post('mia', '/v1/hosts', { ...body, parameters: { hostKey: `SHA256:${'A'.repeat(43)}` } })).body
  const id = await seenInEmergency('keyed', { hostIds: [hostId], credentialType: 'ssh_key', credential: key })
  expect((await store(id, ed25519Key().private)).status).toBe(200)
  expect(await pending(id)).toEqual([])
  expect((await store(id, `${key.trim()}\n\n`)).status).toBe(200)
  expect(await pending(id)).toEqual(['break_glass'])
})

test('a value that nobody has seen begins nothing when it is stored again', async () => {
  const id = await world.addIdentity('unseen')
  expect((await store(id, 'password of unseen')).body.credentialVersion).toBe(2)
  expect(await pending(id)).toEqual([])
})

test('what was stored since its past was looked at may be the same value: it is looked at again', async () => {
  const id = await world.addIdentity('raced')
  const first = hold(
    (decide) => inAccount(world.database.as('leasehold_api'), AccountId.parse(acme.id), decide),
    (trx) => changeIdentity(trx, { id: IdentityId.parse(id), change: {}, seal: () => storedValue(), actor: { kind: 'system', id: 'a test' } }),
  )
  await first.reached
  const second = store(id, 'perhaps the same')
  await untilWaiting(world.database)
  first.go()
  await first.result
  expect((await second).body.code).toBe('busy')
  expect((await store(id, 'perhaps the same')).body.credentialVersion).toBe(3)
})

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startIssuer, type TestIssuer } from './issuer.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
let vendor: TestIssuer
beforeAll(async () => {
  vendor = await startIssuer()
  world = await createApiWorld({}, { supportIssuer: vendor.url, supportIssuerUrl: vendor.url, supportPermissions: ['pam_vaults.view', 'pam_vaults.manage'] })
})
afterAll(async () => {
  await world?.end()
  await vendor?.stop()
})

test('support staff who manage vaults give each other nothing, neither directly nor through a group', async () => {
  const named = async (sub: string) => (await world.post('ola', '/v1/support-access/users', { sub, email: `${sub}@vendor.example` })).body.idpUserId as string
  const [, sid] = [await named('sue'), await named('sid')]
  const group = (await world.post('mia', '/v1/idp-groups', { name: 'with support' })).body.id
  await world.call('mia', 'PUT', `/v1/idp-groups/${group}/members/${sid}`)
  const other = (await world.post('mia', '/v1/idp-users', { email: 'somebody@acme.example' })).body.id
  await world.call('ola', 'PUT', '/v1/support-access', { body: { enabled: true, reason: 'x' } })
  const authorization = `Bearer ${await vendor.token('sue')}`
  const grant = async (principal: { type: string; id: string }) => {
    const headers = { authorization, 'idempotency-key': randomUUID() }
    return (await world.call(null, 'POST', `/v1/identity-groups/${world.vaultId}/grants`, { headers, body: { principal, level: 'checkout' } })).status
  }
  expect([await grant({ type: 'user', id: sid }), await grant({ type: 'group', id: group }), await grant({ type: 'user', id: other })]).toEqual([403, 403, 201])
})

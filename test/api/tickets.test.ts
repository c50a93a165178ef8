import { afterAll, beforeAll, expect, test } from 'vitest'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
beforeAll(async () => {
  world = await createApiWorld()
})
afterAll(() => world?.end())

const checkout = (identityId: string, more: object, headers = {}) =>
  world.post('sam', `/v1/identities/${identityId}/checkout`, { reason: 'x', durationMinutes: 30, ...more }, headers)
const ticketOf = async (sub: string, leaseId: string) => (await world.call(sub, 'GET', `/v1/leases/${leaseId}`)).body.ticket
const onRecord = async (leaseId: string) =>
  (await world.call('mia', 'GET', `/v1/audit/events?leaseId=${leaseId}&action=lease.granted`)).body.items[0].detail.ticket

test('the ticket of a checkout stays with its lease and its audit event', async () => {
  const id = await world.addIdentity('for a case')
  const headers = { 'idempotency-key': 'a-case' }
  const { lease } = (await checkout(id, { ticket: 'INC-2041' }, headers)).body
  expect([lease.ticket, await ticketOf('sam', lease.id), await ticketOf('axe', lease.id), await onRecord(lease.id)]).toEqual(Array(4).fill('INC-2041'))
  expect((await checkout(id, { ticket: 'INC-2041' }, headers)).body.lease.ticket).toBe('INC-2041')
  const other = (await checkout(await world.addIdentity('for none'), {})).body.lease
  expect([other.ticket, await ticketOf('sam', other.id), await onRecord(other.id)]).toEqual([null, null, undefined])
})

test('a lease that an access request was used for has its ticket, unless the checkout names another', async () => {
  const asked = async (name: string) => {
    const id = await world.addIdentity(name)
    expect((await world.post('mia', '/v1/approval-policies', { identityId: id, steps: [{ approvers: [{ type: 'permission' }] }] })).status).toBe(201)
    const { accessRequest } = (await checkout(id, { ticket: 'CHG-7' })).body
    const { version } = accessRequest
    expect((await world.post('mia', `/v1/access-requests/${accessRequest.id}/decisions`, { verdict: 'approve', version })).status).toBe(200)
    return { id, requestId: accessRequest.id as string }
  }
  const [one, two] = [await asked('approved'), await asked('approved twice')]
  expect((await checkout(one.id, { requestId: one.requestId })).body.lease.ticket).toBe('CHG-7')
  const { lease } = (await checkout(two.id, { requestId: two.requestId, ticket: 'INC-9' })).body
  expect([lease.ticket, await onRecord(lease.id)]).toEqual(['INC-9', 'INC-9'])
})

test('an emergency names its case to whoever reviews it', async () => {
  await world.call('sam', 'PUT', '/v1/me/break-glass-credential', { body: { passphrase: 'seven quiet herons of sam' } })
  const said = { reason: 'x', justification: 'nobody can be asked', breakGlassCredential: 'seven quiet herons of sam', ticket: 'INC-2042' }
  const { lease } = (await world.post('sam', `/v1/identities/${await world.addIdentity('on fire')}/break-glass`, said)).body
  expect([lease.ticket, await onRecord(lease.id)]).toEqual(['INC-2042', 'INC-2042'])
  expect((await world.call('mia', 'GET', `/v1/break-glass-reviews/${lease.id}`)).body.ticket).toBe('INC-2042')
})

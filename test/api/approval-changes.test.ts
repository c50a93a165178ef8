import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { acme } from '#stack/people.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

/** What becomes of approvals when policies, people and places change around them. */

let world: ApiWorld
beforeAll(async () => {
  world = await createApiWorld()
})
afterAll(() => world?.end())

const person = (sub: string) => acme.users.find((user) => user.sub === sub) ?? expect.unreachable()
const named = (...subs: string[]) => subs.map((sub) => ({ type: 'user', id: person(sub).idpId }))
const holders = [{ type: 'permission' }]
const guard = async (identityId: string, policy: object, sub = 'mia') => world.post(sub, '/v1/approval-policies', { identityId, ...policy })
const checkout = (id: string, body: object = {}, sub = 'sam') => world.post(sub, `/v1/identities/${id}/checkout`, { reason: 'x', durationMinutes: 30, ...body })
const ask = async (id: string, sub = 'sam') => (await checkout(id, {}, sub)).body.accessRequest.id as string
const decide = async (sub: string, requestId: string) => {
  const { version } = (await world.call('mia', 'GET', `/v1/access-requests/${requestId}`)).body
  return world.post(sub, `/v1/access-requests/${requestId}/decisions`, { verdict: 'approve', version })
}
const decidable = async (sub: string, id: string) => (await world.call(sub, 'GET', `/v1/access-requests?show=decidable&identityId=${id}`)).body.items.length
const told = async (sub: string, kind: string, requestId: string) =>
  (
    await world.database.superuser(
      'select count(*)::int as times from notice n join notice_recipient r on r.notice_id = n.id where n.kind = $1 and r.user_id = $2 and n.subject_id = $3',
      [kind, person(sub).id, requestId],
    )
  ).rows[0].times
const inForce = async (policies: string) => {
  const { body } = await world.post('mia', '/v1/policy-sets', { policies })
  expect((await world.post('mia', `/v1/policy-sets/${body.id}/activate`)).status).toBe(200)
}

test('after a change of its policy a request is asked anew: step by step, in the lists of those who decide, and they hear of it', async () => {
  const id = await world.addIdentity('asked anew')
  const policy = (await guard(id, { steps: [{ approvers: named('ola') }, { approvers: named('vic') }] })).body
  const request = await ask(id)
  await decide('ola', request)
  const change = (timeoutMinutes: number) => world.call('mia', 'PATCH', `/v1/approval-policies/${policy.id}`, { body: { timeoutMinutes } })
  await change(600)
  expect([await decidable('ola', id), await told('ola', 'access_request.opened', request)]).toEqual([1, 2])
  for (const sub of ['ola', 'vic']) await decide(sub, request)
  expect(await told('sam', 'access_request.approved', request)).toBe(1)
  await change(700)
  expect((await checkout(id, { requestId: request })).body.code).toBe('approvals-missing')
  expect([await decidable('ola', id), await told('ola', 'access_request.opened', request)]).toEqual([1, 3])
  const before = await told('vic', 'access_request.opened', request)
  await decide('ola', request)
  expect([await decidable('vic', id), (await told('vic', 'access_request.opened', request)) - before]).toEqual([1, 1])
  await decide('vic', request)
  expect(await told('sam', 'access_request.approved', request)).toBe(2)
  expect((await checkout(id, { requestId: request })).status).toBe(201)
})

test('a right that comes back completes a request, as soon as one of its approvers says so again', async () => {
  const id = await world.addIdentity('regained')
  const group = (await world.post('mia', '/v1/idp-groups', { name: `regained ${randomUUID()}` })).body.id
  const member = (method: string, sub: string) => world.call('mia', method, `/v1/idp-groups/${group}/members/${person(sub).idpId}`)
  for (const sub of ['ola', 'vic']) await member('PUT', sub)
  await guard(id, { steps: [{ approvers: [{ type: 'group', id: group }], needed: 2 }] })
  const request = await ask(id)
  await decide('ola', request)
  await member('DELETE', 'ola')
  expect((await decide('vic', request)).body.accessRequest.state).toBe('pending')
  await member('PUT', 'ola')
  expect((await decide('vic', request)).body.accessRequest.state).toBe('approved')
  expect(await told('sam', 'access_request.approved', request)).toBe(1)
  expect((await checkout(id, { requestId: request })).status).toBe(201)
})

test('a first policy that lets others agree than the account does is nothing that its own requester makes', async () => {
  await inForce(`permit (principal, action, resource) unless { action == Action::"identity.checkout" };
    @obligation_require_approval("1") permit (principal, action == Action::"identity.checkout", resource);`)
  const identityGroupId = (await world.post('mia', '/v1/identity-groups', { organizationId: world.organizationId, name: 'obliged' })).body.id
  await world.post('mia', `/v1/identity-groups/${identityGroupId}/grants`, { principal: named('ola')[0], level: 'checkout' })
  const id = await world.addIdentity('obliged', { identityGroupId })
  const easier = { required: false, steps: [{ approvers: named('vic') }] }
  const refused = await guard(id, easier, 'ola')
  expect([refused.status, refused.body.code]).toEqual([403, 'forbidden'])
  expect((await guard(id, { steps: [{ approvers: holders }] }, 'ola')).status).toBe(201)
  expect((await guard(await world.addIdentity('obliged too', { identityGroupId }), easier)).status).toBe(201)
  const { rows } = await world.database.superuser(`select severity from notice where kind = 'approval_policy.changed' order by id desc limit 1`)
  expect(rows).toEqual([{ severity: 'critical' }])
  await inForce('permit (principal, action, resource);')
})

test('break-glass and what is held by it wait for nobody, whatever obligation is on uses', async () => {
  const id = await world.addIdentity('burning')
  const passphrase = 'seven quiet herons of sam'
  await world.call('sam', 'PUT', '/v1/me/break-glass-credential', { body: { passphrase } })
  await inForce(`permit (principal, action in [Action::"read", Action::"change"], resource);
    @obligation_require_approval("2") permit (principal, action in [Action::"use"], resource);`)
  const said = { reason: 'x', justification: 'nobody can be asked', breakGlassCredential: passphrase }
  const { status, body } = await world.post('sam', `/v1/identities/${id}/break-glass`, said)
  expect(status).toBe(201)
  for (const [verb, more] of [
    ['credential', {}],
    ['extend', { minutes: 5 }],
  ] as const)
    expect((await world.post('sam', `/v1/leases/${body.lease.id}/${verb}`, more)).status).toBe(200)
  await inForce('permit (principal, action, resource);')
})

test('the policy of an identity moves with it to the people of another organization, and only an owner moves it there', async () => {
  const organizationId = (await world.post('mia', '/v1/organizations', { name: 'elsewhere' })).body.id
  await world.call('mia', 'PUT', `/v1/organizations/${organizationId}/secret`, { body: {} })
  const identityGroupId = (await world.post('mia', '/v1/identity-groups', { organizationId, name: 'elsewhere' })).body.id
  await world.post('mia', `/v1/identity-groups/${identityGroupId}/grants`, { principal: named('sam')[0], level: 'checkout' })
  const manager = async (of: string) => {
    const sub = `manager-${randomUUID()}`
    const { body: user } = await world.post('mia', '/v1/users', { sub })
    const { body: role } = await world.post('mia', '/v1/roles', { name: sub, permissions: ['organizations.manage'] })
    await world.post('mia', `/v1/roles/${role.id}/assignments`, { principal: { type: 'user', id: user.id }, organizationId: of })
    return sub
  }
  const [here, there] = [await manager(world.organizationId), await manager(organizationId)]
  const id = await world.addIdentity('traveller')
  const policy = `/v1/approval-policies/${(await guard(id, { steps: [{ approvers: holders }] })).body.id}`
  const move = (sub: string) => world.post(sub, `/v1/identities/${id}/move`, { identityGroupId })
  const refused = await move('ola')
  expect([refused.status, refused.body.code]).toEqual([403, 'approvals-lost'])
  expect((await move('mia')).status).toBe(200)
  expect([(await world.call(here, 'GET', policy)).status, (await world.call(there, 'GET', policy)).status]).toEqual([404, 200])
  expect((await world.call(here, 'DELETE', policy)).status).toBe(404)
  expect((await checkout(id)).status).toBe(202)
})

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { acme } from '#stack/people.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
beforeAll(async () => {
  world = await createApiWorld()
})
afterAll(() => world?.end())

const person = (sub: string) => acme.users.find((user) => user.sub === sub) ?? expect.unreachable()
const named = (...subs: string[]) => subs.map((sub) => ({ type: 'user', id: person(sub).idpId }))
const holders = [{ type: 'permission' }]

/** An identity that sam may check out when others agree. */
async function guarded(name: string, policy: object = { steps: [{ approvers: holders }] }, settings: object = {}): Promise<{ id: string; policyId: string }> {
  const id = await world.addIdentity(name, settings as Record<string, unknown>)
  const made = await world.post('mia', '/v1/approval-policies', { identityId: id, ...policy })
  expect([made.status, made.text]).toEqual([201, expect.any(String)])
  return { id, policyId: made.body.id }
}
const checkout = (sub: string, id: string, body: object = {}, headers: Record<string, string> = {}) =>
  world.post(sub, `/v1/identities/${id}/checkout`, { reason: 'INC-1: restore', durationMinutes: 30, ...body }, headers)
const ask = async (id: string, body: object = {}): Promise<string> => {
  const answer = await checkout('sam', id, body)
  expect([answer.status, answer.body.accessRequest?.state]).toEqual([202, 'pending'])
  return answer.body.accessRequest.id
}
const decide = (sub: string, requestId: string, verdict = 'approve', more: object = {}, headers: Record<string, string> = {}) =>
  world.post(sub, `/v1/access-requests/${requestId}/decisions`, { verdict, ...more }, headers)

describe('a checkout that others must agree to', () => {
  test('is asked for, approved by somebody else, and then made by the requester alone, once', async () => {
    const { id } = await guarded('walked')
    const asked = await checkout('sam', id, { ticket: 'INC-2041' })
    expect(asked.status).toBe(202)
    const { accessRequest } = asked.body
    expect(asked.headers.get('location')).toBe(`/v1/access-requests/${accessRequest.id}`)
    expect(accessRequest).toMatchObject({
      state: 'pending',
      ticket: 'INC-2041',
      durationMinutes: 30,
      steps: [{ needed: 1, given: 0 }],
      leaseId: null,
      version: 1,
    })
    expect((await checkout('sam', id, { requestId: accessRequest.id })).body.code).toBe('approvals-missing')
    const approved = await decide('ola', accessRequest.id, 'approve', { comment: 'go on' })
    expect(approved.body.accessRequest).toMatchObject({
      state: 'approved',
      steps: [{ needed: 1, given: 1 }],
      decisions: [{ name: 'Ola Admin', comment: 'go on', counts: true }],
    })
    expect((await checkout('vic', id, { requestId: accessRequest.id })).status).toBe(403)
    const taken = await checkout('sam', id, { requestId: accessRequest.id })
    expect([taken.status, taken.body.lease?.requestId, taken.body.credential?.value]).toEqual([201, accessRequest.id, 'password of walked'])
    expect((await world.call('sam', 'GET', `/v1/access-requests/${accessRequest.id}`)).body).toMatchObject({ state: 'used', leaseId: taken.body.lease.id })
    await world.post('sam', `/v1/leases/${taken.body.lease.id}/checkin`)
    const again = await checkout('sam', id, { requestId: accessRequest.id })
    expect([again.status, again.body.code, again.body.state]).toEqual([409, 'access-request-closed', 'used'])
  })

  test('answers the same request to the same key', async () => {
    const { id } = await guarded('asked twice')
    const headers = { 'idempotency-key': randomUUID() }
    const [first, second] = [await checkout('sam', id, {}, headers), await checkout('sam', id, {}, headers)]
    expect([second.status, second.body.accessRequest.id, second.headers.get('idempotent-replayed')]).toEqual([202, first.body.accessRequest.id, 'true'])
    expect((await checkout('sam', id, { durationMinutes: 31 }, headers)).body.code).toBe('idempotency-key-reused')
    expect((await world.call('sam', 'GET', `/v1/access-requests?identityId=${id}`)).body.items).toHaveLength(1)
  })
})

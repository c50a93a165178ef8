import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AccountId, UserId } from '#schemas/ids.ts'
import { signDecisionLink } from '#secrets/decision-link.ts'
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
  return { id, ...(await guard(id, policy)) }
}
async function guard(identityId: string, policy: object = { steps: [{ approvers: holders }] }): Promise<{ policyId: string }> {
  const made = await world.post('mia', '/v1/approval-policies', { identityId, ...policy })
  expect([made.status, made.text]).toEqual([201, expect.any(String)])
  return { policyId: made.body.id }
}
const checkout = (sub: string, id: string, body: object = {}, headers: Record<string, string> = {}) =>
  world.post(sub, `/v1/identities/${id}/checkout`, { reason: 'INC-1: restore', durationMinutes: 30, ...body }, headers)
const ask = async (id: string, body: object = {}): Promise<string> => {
  const answer = await checkout('sam', id, body)
  expect([answer.status, answer.body.accessRequest?.state]).toEqual([202, 'pending'])
  return answer.body.accessRequest.id
}
const decide = async (sub: string, requestId: string, verdict = 'approve', more: object = {}, headers: Record<string, string> = {}) => {
  const { version } = (await world.call('mia', 'GET', `/v1/access-requests/${requestId}`)).body
  return world.post(sub, `/v1/access-requests/${requestId}/decisions`, { verdict, version, ...more }, headers)
}

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

describe('an approval is refused', () => {
  test('to the requester, as approver by name, by a group and as owner', async () => {
    const group = (await world.post('mia', '/v1/idp-groups', { name: `approvers ${randomUUID()}` })).body.id
    for (const sub of ['sam', 'vic']) await world.call('mia', 'PUT', `/v1/idp-groups/${group}/members/${person(sub).idpId}`)
    const both = [{ type: 'group', id: group }, ...named('sam', 'mia')]
    const { id } = await guarded('own approval', { steps: [{ approvers: both, needed: 2 }] })
    const mine = await ask(id)
    const refused = await decide('sam', mine)
    expect([refused.status, refused.body.missing]).toEqual([403, expect.stringContaining('not who made it')])
    const theirs = (await checkout('mia', id)).body.accessRequest.id
    expect((await decide('mia', theirs)).status).toBe(403)
    expect((await decide('sam', theirs)).body.accessRequest.steps).toEqual([{ needed: 2, given: 1 }])
    const { items } = (await world.call('axe', 'GET', '/v1/audit/events?effect=deny&action=access-request.decide')).body
    expect(items.map((event: { requestId: string }) => event.requestId)).toEqual(expect.arrayContaining([mine, theirs]))
  })

  test('to who is no approver, or not of the step that is asked', async () => {
    const { id } = await guarded('steps', { steps: [{ approvers: named('vic') }, { approvers: named('ola', 'mia'), needed: 2 }] })
    const request = await ask(id)
    expect((await decide('axe', request)).body).toMatchObject({ status: 403, missing: expect.stringContaining('approver') })
    expect((await decide('ola', request)).body).toMatchObject({ status: 403, missing: 'to be an approver of step 1, which is asked now' })
    expect((await decide('vic', request)).body.accessRequest.steps.map((step: { given: number }) => step.given)).toEqual([1, 0])
    expect((await decide('vic', request)).body.accessRequest.decisions).toHaveLength(1)
    await decide('ola', request)
    expect((await decide('mia', request)).body.accessRequest.state).toBe('approved')
  })

  test('for a version that the approver did not see, and after the request is over', async () => {
    const { id } = await guarded('edited')
    const request = await ask(id)
    const seen = (await world.call('ola', 'GET', `/v1/access-requests/${request}`)).headers.get('etag') ?? ''
    const edited = await world.call('sam', 'PATCH', `/v1/access-requests/${request}`, {
      body: { durationMinutes: 60, reason: 'INC-2' },
      headers: { 'if-match': seen },
    })
    expect(edited.body.accessRequest).toMatchObject({ version: 2, durationMinutes: 60, reason: 'INC-2', state: 'pending' })
    for (const [version, headers] of [
      [1, {}],
      [1, { 'if-match': '*' }],
      [3, {}],
      [2, { 'if-match': seen }],
    ] as const)
      expect((await decide('ola', request, 'approve', { version }, headers)).body.code).toBe('precondition-failed')
    const blind = await decide('ola', request, 'approve', { version: undefined }, { 'if-match': '*' })
    expect([blind.status, blind.body.errors?.[0].path]).toEqual([422, 'version'])
    const denied = await decide('ola', request, 'deny', { comment: 'not today' })
    expect(denied.body.accessRequest).toMatchObject({ state: 'denied', closedAt: expect.any(String) })
    for (const over of [
      await decide('mia', request),
      await world.call('sam', 'PATCH', `/v1/access-requests/${request}`, { body: {} }),
      await world.post('sam', `/v1/access-requests/${request}/cancel`),
      await checkout('sam', id, { requestId: request }),
    ])
      expect([over.status, over.body.code, over.body.state]).toEqual([409, 'access-request-closed', 'denied'])
  })

  test('what was approved before an edit no longer counts', async () => {
    const { id } = await guarded('edited after')
    const request = await ask(id)
    await decide('ola', request)
    const edited = await world.call('sam', 'PATCH', `/v1/access-requests/${request}`, { body: { durationMinutes: 1440 } })
    expect(edited.body.accessRequest).toMatchObject({ state: 'pending', steps: [{ given: 0 }], decisions: [{ counts: false }] })
    expect((await checkout('sam', id, { requestId: request })).body.code).toBe('approvals-missing')
  })

  test('by people who have lost the right since: counted anew at the checkout, and another one may step in', async () => {
    const group = (await world.post('mia', '/v1/idp-groups', { name: `lost ${randomUUID()}` })).body.id
    const member = (method: string, sub: string) => world.call('mia', method, `/v1/idp-groups/${group}/members/${person(sub).idpId}`)
    for (const sub of ['vic', 'axe']) await member('PUT', sub)
    const { id } = await guarded('lost', { steps: [{ approvers: [{ type: 'group', id: group }] }] })
    const request = await ask(id)
    expect((await decide('vic', request)).body.accessRequest.state).toBe('approved')
    await member('DELETE', 'vic')
    const refused = await checkout('sam', id, { requestId: request })
    expect([refused.status, refused.body.code, refused.body.detail]).toEqual([
      409,
      'approvals-missing',
      'The access request has 0 of the 1 approvals that it needs',
    ])
    expect((await world.call('vic', 'GET', `/v1/access-requests/${request}`)).status).toBe(404)
    await decide('axe', request)
    expect((await checkout('sam', id, { requestId: request })).status).toBe(201)
  })

  test('under a policy that has changed since', async () => {
    const { id, policyId } = await guarded('policy changed')
    const request = await ask(id)
    await decide('ola', request)
    await world.call('mia', 'PATCH', `/v1/approval-policies/${policyId}`, { body: { validityMinutes: 60 } })
    expect((await checkout('sam', id, { requestId: request })).body.code).toBe('approvals-missing')
    await decide('ola', request)
    expect((await checkout('sam', id, { requestId: request })).status).toBe(201)
  })
})

describe('an approval is for the very person, identity, host and duration', () => {
  test('and for nothing else', async () => {
    const { id } = await guarded('bound', undefined, { hostIds: [world.hostId] })
    const { id: other } = await guarded('bound other')
    const request = await ask(id)
    await decide('ola', request)
    const path = async (body: object, of = id, sub = 'sam') => {
      const answer = await checkout(sub, of, { requestId: request, ...body })
      return [answer.status, answer.body.errors?.[0].path]
    }
    expect(await path({ hostId: world.hostId })).toEqual([422, 'hostId'])
    expect(await path({ durationMinutes: 31 })).toEqual([422, 'durationMinutes'])
    expect(await path({}, other)).toEqual([422, 'requestId'])
    expect(await path({}, id, 'mia')).toEqual([422, 'requestId'])
    expect(await path({ requestId: randomUUID() })).toEqual([422, 'requestId'])
    const taken = await checkout('sam', id, { requestId: request, durationMinutes: 5 })
    expect(taken.status).toBe(201)
    const extended = await world.post('sam', `/v1/leases/${taken.body.lease.id}/extend`, { minutes: 60 })
    expect(Date.parse(extended.body.lease.expiresAt) - Date.parse(extended.body.lease.startedAt)).toBe(30 * 60_000)
  })

  test('it stays when the identity is taken, and until it is taken back', async () => {
    const { id } = await guarded('taken')
    const first = await ask(id)
    await decide('ola', first)
    const { lease } = (await checkout('sam', id, { requestId: first })).body
    const second = await ask(id)
    await decide('ola', second)
    expect((await checkout('sam', id, { requestId: second })).body.code).toBe('identity-checked-out')
    expect((await world.call('sam', 'GET', `/v1/access-requests/${second}`)).body.state).toBe('approved')
    await world.post('sam', `/v1/leases/${lease.id}/checkin`)
    expect((await world.post('ola', `/v1/access-requests/${second}/cancel`)).status).toBe(403)
    for (let turn = 0; turn < 2; turn += 1) expect((await world.post('sam', `/v1/access-requests/${second}/cancel`)).body.accessRequest.state).toBe('cancelled')
    expect((await checkout('sam', id, { requestId: second })).body.state).toBe('cancelled')
  })

  test('the same value is not shown without it', async () => {
    const { id } = await guarded('not revealed')
    const { status, body } = await world.post('sam', `/v1/identities/${id}/reveal`, {})
    expect([status, body.code]).toEqual([403, 'approval-required'])
  })

  test('a lease from before it was needed is read until its end, and extended no more', async () => {
    const id = await world.addIdentity('taken before')
    const { lease } = (await checkout('sam', id)).body
    const { policyId } = await guard(id)
    expect((await world.post('sam', `/v1/leases/${lease.id}/credential`)).status).toBe(200)
    const refused = await world.post('sam', `/v1/leases/${lease.id}/extend`, { minutes: 5 })
    expect([refused.status, refused.body.code]).toEqual([403, 'approval-required'])
    await world.call('mia', 'DELETE', `/v1/approval-policies/${policyId}`)
    expect((await world.post('sam', `/v1/leases/${lease.id}/extend`, { minutes: 5 })).status).toBe(200)
  })
})

describe('who sees a request', () => {
  test('the requester, its approvers, admins and auditors, with the reason; to everybody else it is not there', async () => {
    const { id } = await guarded('seen', { steps: [{ approvers: named('vic') }] })
    const request = await ask(id)
    for (const sub of ['sam', 'vic', 'mia', 'ola', 'axe']) {
      const { body } = await world.call(sub, 'GET', `/v1/access-requests/${request}`)
      expect([sub, body.reason, body.mayDecide]).toEqual([sub, 'INC-1: restore', sub === 'vic'])
    }
    const { id: hidden } = await guarded('unseen', { steps: [{ approvers: named('ola') }] })
    const unseen = await ask(hidden)
    expect((await world.call('vic', 'GET', `/v1/access-requests/${unseen}`)).status).toBe(404)
    const ids = async (sub: string, query: string) =>
      (await world.call(sub, 'GET', `/v1/access-requests?${query}`)).body.items.map((item: { id: string }) => item.id)
    expect(await ids('vic', 'limit=200')).toEqual(expect.not.arrayContaining([unseen]))
    expect(await ids('vic', `identityId=${id}&show=decidable`)).toEqual([request])
    expect(await ids('vic', `identityId=${id}&show=own`)).toEqual([])
    expect(await ids('sam', `identityId=${id}&show=own&state=pending`)).toEqual([request])
    await decide('vic', request)
    expect(await ids('vic', `identityId=${id}&show=decidable`)).toEqual([])
    expect(await ids('axe', `identityId=${id}&state=approved`)).toEqual([request])
  })
})

describe('a link of a notification', () => {
  const linkOf = (requestId: string, sub: string, verdict: 'approve' | 'deny' = 'approve', version = 1) =>
    signDecisionLink(world.parts.decisionLinkKey, {
      accountId: AccountId.parse(acme.id),
      requestId: requestId as never,
      version,
      verdict,
      userId: UserId.parse(person(sub).id),
    })
  const follow = (sub: string, token: string) => world.post(sub, '/v1/access-request-links', { token, comment: 'by mail' })

  test('decides for the person that it was made for, who must log in, and once', async () => {
    const { id } = await guarded('linked', { steps: [{ approvers: named('ola', 'vic'), needed: 2 }] })
    const request = await ask(id)
    const token = linkOf(request, 'ola')
    expect((await world.call(null, 'POST', '/v1/access-request-links', { body: { token } })).status).toBe(401)
    for (const sub of ['vic', 'mia', 'sam']) expect([sub, (await follow(sub, token)).status]).toEqual([sub, 404])
    // Not its last character, of which some bits say nothing.
    const forged = token.replace(/\../, (first) => (first === '.A' ? '.B' : '.A'))
    expect((await follow('ola', forged)).status).toBe(404)
    expect((await follow('ola', token)).body.accessRequest).toMatchObject({ steps: [{ needed: 2, given: 1 }], decisions: [{ comment: 'by mail' }] })
    const again = await follow('ola', token)
    expect([again.status, again.body.code]).toEqual([409, 'link-spent'])
    expect((await follow('ola', linkOf(request, 'ola', 'deny'))).body.code).toBe('link-spent')
  })

  test('decides nothing about what was edited since, nor for somebody who is no approver', async () => {
    const { id } = await guarded('linked and edited')
    const request = await ask(id)
    const token = linkOf(request, 'ola', 'deny')
    await world.call('sam', 'PATCH', `/v1/access-requests/${request}`, { body: { durationMinutes: 20 } })
    expect((await follow('ola', token)).status).toBe(412)
    expect((await follow('axe', linkOf(request, 'axe', 'approve', 2))).status).toBe(403)
    expect((await follow('sam', linkOf(request, 'sam', 'approve', 2))).status).toBe(403)
    expect((await follow('ola', linkOf(request, 'ola', 'deny', 2))).body.accessRequest.state).toBe('denied')
  })
})

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { acme } from '#stack/people.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
beforeAll(async () => {
  world = await createApiWorld()
})
afterAll(() => world?.end())

const named = (...subs: string[]) => subs.map((sub) => ({ type: 'user', id: acme.users.find((user) => user.sub === sub)?.idpId }))
const holders = [{ type: 'permission' }]
const create = (body: object, sub = 'mia') => world.post(sub, '/v1/approval-policies', body)
const checkout = (id: string, body: object = {}, sub = 'sam') => world.post(sub, `/v1/identities/${id}/checkout`, { reason: 'x', durationMinutes: 30, ...body })

describe('an approval policy', () => {
  test('is made with defaults, read, changed and deleted, each on record', async () => {
    const identityId = await world.addIdentity('kept')
    const { status, body } = await create({ identityId, steps: [{ approvers: holders }] })
    expect([status, body]).toEqual([
      201,
      {
        id: expect.any(String),
        organizationId: world.organizationId,
        identityGroupId: null,
        identityId,
        required: true,
        steps: [{ approvers: holders, needed: 1 }],
        timeoutMinutes: 1440,
        validityMinutes: 480,
        maximumMinutes: null,
        escalation: null,
        windows: [],
        version: 1,
        createdAt: expect.any(String),
      },
    ])
    const path = `/v1/approval-policies/${body.id}`
    const windows = [{ days: ['mon'], from: '08:00', to: '18:00', timeZone: 'Europe/Berlin' }]
    const changed = await world.call('mia', 'PATCH', path, { body: { windows, escalation: { afterMinutes: 30, approvers: named('mia') } } })
    expect(changed.body).toEqual({ ...body, windows, escalation: { afterMinutes: 30, approvers: named('mia') }, version: 2 })
    expect((await world.call('axe', 'GET', `/v1/approval-policies?identityId=${identityId}`)).body.items).toEqual([changed.body])
    expect((await world.call('mia', 'DELETE', path)).status).toBe(204)
    expect((await world.call('mia', 'GET', path)).status).toBe(404)
    const { items } = (await world.call('axe', 'GET', `/v1/audit/events?identityId=${identityId}&limit=200`)).body
    const actions = items.map((event: { action: string }) => event.action).filter((action: string) => action.startsWith('approval_policy'))
    expect(actions.sort()).toEqual(['approval_policy.changed', 'approval_policy.created', 'approval_policy.deleted'])
  })

  test('that is loosened or deleted by somebody whom it keeps from a credential answers 403; an owner and whoever gets none there may', async () => {
    const { organizationId } = world
    const vault = (await world.post('mia', '/v1/identity-groups', { organizationId, name: 'kept from ola' })).body.id
    const identityId = await world.addIdentity('kept from ola', { identityGroupId: vault })
    const policy = `/v1/approval-policies/${(await create({ identityGroupId: vault, maximumMinutes: 60, steps: [{ approvers: holders }] }, 'ola')).body.id}`
    const loosen = (sub: string) => world.call(sub, 'PATCH', policy, { body: { maximumMinutes: null } })
    expect((await loosen('ola')).status).toBe(200)
    await world.post('mia', `/v1/identity-groups/${vault}/grants`, { principal: named('ola')[0], level: 'checkout' })
    expect((await world.call('ola', 'PATCH', policy, { body: { maximumMinutes: 30, validityMinutes: 60 } })).status).toBe(200)
    const missing = 'an owner, or somebody who cannot check out here'
    for (const refused of [
      await loosen('ola'),
      await world.call('ola', 'PATCH', policy, { body: { required: false } }),
      await world.call('ola', 'DELETE', policy),
      await create({ identityId, required: false, steps: [{ approvers: holders }] }, 'ola'),
    ])
      expect([refused.status, refused.body.missing]).toEqual([403, missing])
    expect((await create({ identityId, maximumMinutes: 20, validityMinutes: 30, steps: [{ approvers: holders, needed: 2 }] }, 'ola')).status).toBe(201)
    expect([(await loosen('mia')).status, (await world.call('mia', 'DELETE', policy)).status]).toEqual([200, 204])
    const { rows } = await world.database.superuser(
      `select severity, facts ->> 'change' as change, (select count(*)::int > 0 from notice_recipient r where r.notice_id = n.id) as told
       from notice n where kind = 'approval_policy.changed' and facts ->> 'vaultId' = $1 order by created_at, id`,
      [vault],
    )
    expect(rows.map(({ severity, change, told }) => `${change} ${severity} ${told}`)).toEqual([
      'created info true',
      'changed critical true',
      'changed info true',
      'changed critical true',
      'deleted critical true',
    ])
  })

  test('of an identity holds in place of its vault’s, and there is one of each', async () => {
    const organizationId = world.organizationId
    const vault = (await world.post('mia', '/v1/identity-groups', { organizationId, name: 'guarded vault' })).body.id
    await world.post('mia', `/v1/identity-groups/${vault}/grants`, { principal: named('sam')[0], level: 'checkout' })
    const [plain, free] = [await world.addIdentity('by vault', { identityGroupId: vault }), await world.addIdentity('free', { identityGroupId: vault })]
    expect((await create({ identityGroupId: vault, steps: [{ approvers: holders }] })).status).toBe(201)
    expect((await create({ identityGroupId: vault, steps: [{ approvers: holders }] })).body.code).toBe('already-exists')
    expect((await create({ identityId: free, required: false, steps: [{ approvers: holders }] })).status).toBe(201)
    expect([(await checkout(plain)).status, (await checkout(free)).status]).toEqual([202, 201])
    expect((await world.post('mia', `/v1/identities/${plain}/move`, { identityGroupId: world.vaultId })).status).toBe(200)
    expect((await checkout(plain)).status).toBe(201)
  })

  test.each<[what: string, body: object, path: string]>([
    ['a vault and an identity', { identityGroupId: randomUUID(), identityId: randomUUID() }, 'identityGroupId'],
    ['neither of them', {}, 'identityGroupId'],
    ['no step', { identityId: randomUUID(), steps: [] }, 'steps'],
    ['nobody who approves', { identityId: randomUUID(), steps: [{ approvers: [] }] }, 'steps.0.approvers'],
    ['a quorum of none', { identityId: randomUUID(), steps: [{ approvers: holders, needed: 0 }] }, 'steps.0.needed'],
    ['a timeout of a minute', { identityId: randomUUID(), timeoutMinutes: 1 }, 'timeoutMinutes'],
    [
      'a place without a clock',
      { identityId: randomUUID(), windows: [{ days: ['mon'], from: '08:00', to: '18:00', timeZone: 'Atlantis/City' }] },
      'windows.0.timeZone',
    ],
    [
      'a window that ends before it begins',
      { identityId: randomUUID(), windows: [{ days: ['mon'], from: '18:00', to: '08:00', timeZone: 'UTC' }] },
      'windows.0.to',
    ],
  ])('with %s answers 422', async (_, body, path) => {
    const answer = await create({ steps: [{ approvers: holders }], ...body })
    expect([answer.status, answer.body.errors?.map((error: { path: string }) => error.path)]).toEqual([422, expect.arrayContaining([path])])
  })

  test('that escalates after it has expired answers 422', async () => {
    const identityId = await world.addIdentity('late')
    const { status, body } = await create({
      identityId,
      timeoutMinutes: 60,
      steps: [{ approvers: holders }],
      escalation: { afterMinutes: 60, approvers: holders },
    })
    expect([status, body.errors?.[0].path]).toEqual([422, 'escalation.afterMinutes'])
  })

  test('that wants more people than may approve answers 422 with the figures, when it is made and when it is changed', async () => {
    const identityId = await world.addIdentity('too many')
    const steps = [{ approvers: named('ola', 'vic'), needed: 2 }, { approvers: named('vic') }]
    const { status, body } = await create({ identityId, steps })
    expect([status, body.code, body.detail]).toEqual([
      422,
      'quorum-unreachable',
      'Not enough people may approve this: 3 different approvers are needed, 2 can be found',
    ])
    const made = await create({ identityId, steps: [{ approvers: named('ola', 'vic'), needed: 2 }] })
    expect((await world.call('mia', 'PATCH', `/v1/approval-policies/${made.body.id}`, { body: { steps } })).body.code).toBe('quorum-unreachable')
  })

  test('names only who is there', async () => {
    const identityId = await world.addIdentity('unknown approver')
    expect((await create({ identityId, steps: [{ approvers: [{ type: 'group', id: randomUUID() }] }] })).status).toBe(404)
    expect((await create({ identityId: randomUUID(), steps: [{ approvers: holders }] })).status).toBe(404)
  })
})

describe('a request', () => {
  test('that only its requester could approve answers 422 with the figures', async () => {
    const identityId = await world.addIdentity('alone')
    await create({ identityId, steps: [{ approvers: named('sam', 'ola'), needed: 2 }] })
    const { status, body } = await checkout(identityId)
    expect([status, body.code, body.detail]).toEqual([422, 'quorum-unreachable', expect.stringContaining('2 different approvers are needed, 1 can be found')])
  })

  test('for longer than the policy allows answers 422, when it is made and when it is edited', async () => {
    const identityId = await world.addIdentity('short')
    await create({ identityId, maximumMinutes: 60, steps: [{ approvers: holders }] })
    const long = await checkout(identityId, { durationMinutes: 61 })
    expect([long.status, long.body.errors]).toEqual([422, [{ path: 'durationMinutes', message: 'must be at most 60, by the approval policy' }]])
    const { accessRequest } = (await checkout(identityId, { durationMinutes: 60 })).body
    const edited = await world.call('sam', 'PATCH', `/v1/access-requests/${accessRequest.id}`, { body: { durationMinutes: 61 } })
    expect([edited.status, edited.body.errors?.[0].path]).toEqual([422, 'durationMinutes'])
    expect((await world.call('sam', 'PATCH', `/v1/access-requests/${accessRequest.id}`, { body: { hostId: world.hostId } })).body.errors?.[0].path).toBe(
      'hostId',
    )
  })

  test('for a disabled identity or a host of another one is refused at once', async () => {
    const identityId = await world.addIdentity('off')
    await create({ identityId, steps: [{ approvers: holders }] })
    expect((await checkout(identityId, { hostId: world.hostId })).body.errors?.[0].path).toBe('hostId')
    await world.call('mia', 'PATCH', `/v1/identities/${identityId}`, { body: { state: 'disabled' } })
    expect((await checkout(identityId)).body.code).toBe('identity-disabled')
  })

  test.each(['two words', 'a\nb', 'x'.repeat(101), ''])('with the ticket %j answers 422', async (ticket) => {
    const { status, body } = await checkout(await world.addIdentity(`ticket ${randomUUID()}`), { ticket })
    expect([status, body.errors?.[0].path]).toEqual([422, 'ticket'])
  })
})

describe('a requester', () => {
  const guarded = async (name: string, settings: Record<string, unknown> = {}): Promise<string> => {
    const identityId = await world.addIdentity(name, settings)
    await create({ identityId, steps: [{ approvers: holders }] })
    return identityId
  }
  const ask = async (id: string, body: object = {}): Promise<string> => (await checkout(id, body)).body.accessRequest.id
  const edit = (request: string, body: object) => world.call('sam', 'PATCH', `/v1/access-requests/${request}`, { body })

  test('has one open request for the same thing: the second one answers 409 and names it', async () => {
    const id = await guarded('once', { hostIds: [world.hostId] })
    const first = await ask(id)
    const second = await checkout(id)
    expect([second.status, second.body.code, second.body.requestId]).toEqual([409, 'access-request-open', first])
    const other = await ask(id, { hostId: world.hostId })
    const merged = await edit(other, { hostId: null })
    expect([merged.status, merged.body.requestId]).toEqual([409, first])
    await world.post('ola', `/v1/access-requests/${first}/decisions`, { verdict: 'approve', version: 1 })
    expect((await checkout(id)).body.requestId).toBe(first)
    await world.post('sam', `/v1/access-requests/${first}/cancel`)
    expect((await checkout(id)).status).toBe(202)
  })

  test('edits a request at most 10 times', async () => {
    const request = await ask(await guarded('edited often'))
    for (let turn = 0; turn < 10; turn += 1) expect((await edit(request, { durationMinutes: 20 })).status).toBe(200)
    const { status, body } = await edit(request, { durationMinutes: 20 })
    expect([status, body.code, body.detail]).toEqual([409, 'access-request-limit', 'This access request was edited 10 times, which is the most'])
    const decided = await world.post('ola', `/v1/access-requests/${request}/decisions`, { verdict: 'approve', version: 11 })
    expect(decided.body.accessRequest.state).toBe('approved')
  })
})

describe('a policy of the account with require_approval', () => {
  const inForce = async (policies: string): Promise<void> => {
    const { body } = await world.post('mia', '/v1/policy-sets', { policies })
    expect((await world.post('mia', `/v1/policy-sets/${body.id}/activate`)).status).toBe(200)
  }
  afterAll(() => inForce('permit (principal, action, resource);'))

  test('asks for so many people, by the approval policy or of those who hold pam_requests.approve, and again at the checkout', async () => {
    const [plain, other] = [await world.addIdentity('by account'), await world.addIdentity('by account, with a policy')]
    await create({ identityId: other, required: false, steps: [{ approvers: named('vic') }, { approvers: named('ola', 'mia') }] })
    const obliged = (count: number) => `permit (principal, action, resource) unless { action == Action::"identity.checkout" };
      @obligation_require_approval("${count}") permit (principal, action == Action::"identity.checkout", resource);`
    await inForce(obliged(1))
    const asked = await checkout(plain)
    expect([asked.status, asked.body.accessRequest?.steps]).toEqual([202, [{ needed: 1, given: 0 }]])
    await world.post('ola', `/v1/access-requests/${asked.body.accessRequest.id}/decisions`, { verdict: 'approve', version: 1 })
    await inForce(obliged(3))
    expect((await checkout(other)).body.accessRequest.steps.map((step: { needed: number }) => step.needed)).toEqual([1, 2])
    const refused = await checkout(plain, { requestId: asked.body.accessRequest.id })
    expect([refused.body.code, refused.body.detail]).toEqual(['approvals-missing', 'The access request has 1 of the 3 approvals that it needs'])
    await inForce(obliged(1))
    const taken = await checkout(plain, { requestId: asked.body.accessRequest.id })
    expect(taken.status).toBe(201)
    await inForce(`@obligation_require_approval("1") permit (principal, action, resource) unless { action in [Action::"read", Action::"change"] };
      permit (principal, action in [Action::"read", Action::"change"], resource);`)
    expect((await world.post('sam', `/v1/leases/${taken.body.lease.id}/credential`)).status).toBe(200)
    const shown = await world.post('sam', `/v1/identities/${plain}/reveal`, {})
    expect([shown.status, shown.body.code]).toEqual([403, 'approval-required'])
  })

  test('counts no use of who was told to wait', async () => {
    const id = await world.addIdentity('counted once')
    await inForce(`permit (principal, action, resource) unless { action == Action::"identity.checkout" };
      @obligation_require_approval("1") @obligation_max_uses("1") permit (principal, action == Action::"identity.checkout", resource);`)
    const { accessRequest } = (await checkout(id)).body
    await world.post('ola', `/v1/access-requests/${accessRequest.id}/decisions`, { verdict: 'approve', version: 1 })
    expect((await checkout(id, { requestId: accessRequest.id })).status).toBe(201)
  })
})

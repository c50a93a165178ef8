import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CheckoutAnswer } from '#schemas/lease.ts'
import { createApiWorld, type ApiWorld } from './world.ts'
import { absent } from './support.ts'

let world: ApiWorld
beforeAll(async () => {
  world = await createApiWorld()
})
afterAll(() => world?.end())

const ask = { reason: 'deploy 42', durationMinutes: 30 }
const checkout = (sub: string, identityId: string, body: unknown = ask, headers: Record<string, string> = {}) =>
  world.post(sub, `/v1/identities/${identityId}/checkout`, body, headers)
const events = async (leaseId: string): Promise<string[]> =>
  (await world.call('axe', 'GET', `/v1/audit/events?leaseId=${leaseId}`)).body.items.map(
    (event: { action: string; outcome: string }) => `${event.action} ${event.outcome}`,
  )

describe('a checkout', () => {
  test('answers the lease and the credential, and is on record', async () => {
    const id = await world.addIdentity('orders')
    const { status, body, headers } = await checkout('sam', id)
    expect(status).toBe(201)
    expect(() => CheckoutAnswer.parse(body)).not.toThrow()
    expect(body).toMatchObject({
      credential: { username: 'orders', value: 'password of orders' },
      lease: {
        identityId: id,
        identityGroupId: world.vaultId,
        hostId: null,
        mode: 'standard',
        state: 'active',
        reason: ask.reason,
        durationMinutes: 30,
        holder: { name: 'Sam Operator' },
        endedAt: null,
        version: 1,
      },
    })
    expect(Date.parse(body.lease.expiresAt) - Date.parse(body.lease.startedAt)).toBe(30 * 60_000)
    expect(headers.get('location')).toBe(`/v1/leases/${body.lease.id}`)
    expect(headers.get('cache-control')).toBe('no-store')
    const { body: log } = await world.call('axe', 'GET', `/v1/audit/events?leaseId=${body.lease.id}`)
    expect(log.items).toMatchObject([
      {
        action: 'lease.granted',
        effect: 'permit',
        outcome: 'success',
        reason: ask.reason,
        requestedMinutes: 30,
        actor: { kind: 'user', sub: 'sam' },
        vaultId: world.vaultId,
      },
    ])
  })

  test('of a held identity answers 409 in the words of the manual, with who and until when', async () => {
    const id = await world.addIdentity('held')
    const {
      body: { lease },
    } = await checkout('sam', id)
    const { status, body, headers } = await checkout('mia', id)
    expect(status).toBe(409)
    expect(body).toMatchObject({ code: 'identity-checked-out', detail: 'Identity is already checked out', holder: 'Sam Operator', until: lease.expiresAt })
    expect(headers.get('content-type')).toBe('application/problem+json')
  })

  test('of one exclusive identity by 40 at once is won by one', async () => {
    const id = await world.addIdentity('raced')
    const answers = await Promise.all(Array.from({ length: 40 }, (_, index) => checkout(index % 2 === 0 ? 'sam' : 'mia', id)))
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1)
    const others = answers.filter(({ status }) => status !== 201)
    expect(new Set(others.map(({ status, body }) => `${status} ${body.detail}`))).toEqual(new Set(['409 Identity is already checked out']))
  })

  test('of a shared identity is given to three, not to four, and again after a checkin', async () => {
    const id = await world.addIdentity('shared', { allowConcurrentCheckout: true, maxConcurrentSessions: 3 })
    const answers = await Promise.all(Array.from({ length: 12 }, () => checkout('sam', id)))
    const won = answers.filter(({ status }) => status === 201)
    expect(won).toHaveLength(3)
    expect(answers.find(({ status }) => status === 409)?.body.detail).toBe('Maximum concurrent sessions reached')
    await world.post('sam', `/v1/leases/${won[0]?.body.lease.id}/checkin`)
    expect((await checkout('sam', id)).status).toBe(201)
  })

  test('of an inject-only identity shows nothing', async () => {
    const id = await world.addIdentity('injected', { exposure: 'inject_only' })
    const { status, body } = await checkout('sam', id)
    expect([status, body.credential]).toEqual([201, null])
    expect((await world.post('sam', `/v1/leases/${body.lease.id}/credential`)).body.code).toBe('inject-only')
    expect((await world.post('sam', `/v1/identities/${id}/reveal`)).body.code).toBe('inject-only')
    const { body: log } = await world.call('axe', 'GET', `/v1/audit/events?identityId=${id}&effect=deny`)
    expect(log.items.map((event: { action: string; outcome: string }) => `${event.action} ${event.outcome}`)).toEqual([
      'identity.reveal inject-only',
      'lease.read-credential inject-only',
    ])
  })

  test('names only a host of the identity', async () => {
    const id = await world.addIdentity('hosted', { hostIds: [world.hostId] })
    const { status, body } = await checkout('sam', id, { ...ask, hostId: absent })
    expect([status, body.errors]).toEqual([422, [{ path: 'hostId', message: 'must be a host of this identity' }]])
    expect((await checkout('sam', id, { ...ask, hostId: world.hostId })).body.lease.hostId).toBe(world.hostId)
  })
})

describe('a repeated checkout', () => {
  test('with the same key answers the same lease and the value again, on record each time', async () => {
    const id = await world.addIdentity('repeated')
    const headers = { 'idempotency-key': randomUUID() }
    const first = await checkout('sam', id, ask, headers)
    const again = await checkout('sam', id, { durationMinutes: 30, reason: ask.reason }, headers)
    expect([again.status, again.body]).toEqual([201, first.body])
    expect(again.headers.get('idempotent-replayed')).toBe('true')
    expect(await events(first.body.lease.id)).toEqual(['lease.replayed success', 'lease.granted success'])
  })

  test('with another body or for another identity is refused, by another person it is another request', async () => {
    const [one, other] = [await world.addIdentity('keyed one'), await world.addIdentity('keyed other')]
    const headers = { 'idempotency-key': randomUUID() }
    await checkout('sam', one, ask, headers)
    for (const answer of [await checkout('sam', one, { ...ask, durationMinutes: 31 }, headers), await checkout('sam', other, ask, headers)]) {
      expect([answer.status, answer.body.code]).toEqual([422, 'idempotency-key-reused'])
    }
    expect((await checkout('mia', other, ask, headers)).status).toBe(201)
  })

  test('after the end answers the ended lease without the value', async () => {
    const id = await world.addIdentity('ended')
    const headers = { 'idempotency-key': randomUUID() }
    const {
      body: { lease },
    } = await checkout('sam', id, ask, headers)
    await world.post('sam', `/v1/leases/${lease.id}/checkin`)
    const { status, body } = await checkout('sam', id, ask, headers)
    expect([status, body.credential, body.lease.state, body.lease.endCause]).toEqual([201, null, 'ended', 'checked_in'])
  })
})

describe('who may not', () => {
  test('see the vault or is of another account gets what nobody gets, to the byte', async () => {
    const id = await world.addIdentity('hidden')
    const {
      body: { lease },
    } = await checkout('sam', id)
    const headers = { traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`, 'idempotency-key': 'k' }
    const calls: [string, string, unknown?][] = [
      ['POST', '/v1/identities/ID/checkout', ask],
      ['POST', '/v1/identities/ID/reveal', {}],
      ['POST', '/v1/identities/ID/rotate', {}],
      ['GET', '/v1/identities/ID'],
      ['GET', '/v1/leases/LEASE'],
      ['POST', '/v1/leases/LEASE/credential', {}],
      ['POST', '/v1/leases/LEASE/checkin', {}],
      ['POST', '/v1/leases/LEASE/extend', { minutes: 5 }],
      ['POST', '/v1/leases/LEASE/force-checkin', { reason: 'x' }],
      ['GET', '/v1/rotations/LEASE'],
      ['GET', '/v1/rotations/LEASE/events'],
      ['GET', '/v1/jobs/LEASE'],
    ]
    for (const [method, path, body] of calls) {
      const at = (identity: string, leaseId: string) => world.call('gus', method, path.replace('ID', identity).replace('LEASE', leaseId), { body, headers })
      const [foreign, none] = [await at(id, lease.id), await at(absent, absent)]
      expect([path, foreign.status, foreign.text]).toEqual([path, 404, none.text])
      expect([...foreign.headers]).toEqual([...none.headers])
    }
    expect((await world.call('gus', 'GET', '/v1/leases')).body).toEqual({ items: [] })
  })

  test('check out is told what is missing, and the denial is on record', async () => {
    const id = await world.addIdentity('denied')
    const { status, body } = await checkout('vic', id, ask, { 'x-correlation-id': 'denial-1' })
    expect([status, body.code, body.missing]).toEqual([403, 'forbidden', 'vault access: checkout'])
    const { body: log } = await world.call('axe', 'GET', '/v1/audit/events?correlationId=denial-1')
    expect(log.items).toMatchObject([{ action: 'identity.checkout', effect: 'deny', outcome: 'forbidden', identityId: id, actor: { sub: 'vic' } }])
  })
})

test('a right that ends is gone at the next call, and so is a person who is disabled', async () => {
  const id = await world.addIdentity('withdrawn')
  const {
    body: { lease },
  } = await checkout('sam', id)
  const {
    body: {
      items: [grant],
    },
  } = await world.call('mia', 'GET', `/v1/identity-groups/${world.vaultId}/grants`)
  await world.database.superuser('update vault_grant set valid_to = clock_timestamp() where id = $1', [grant.id])
  const answers = [
    await checkout('sam', id),
    await world.post('sam', `/v1/leases/${lease.id}/extend`, { minutes: 5 }),
    await world.post('sam', `/v1/leases/${lease.id}/credential`),
  ]
  expect(answers.map(({ status, body }) => `${status} ${body.missing}`)).toEqual(Array(3).fill('403 vault access: checkout'))
  await world.database.superuser('update vault_grant set valid_to = null where id = $1', [grant.id])
  expect((await world.post('sam', `/v1/leases/${lease.id}/credential`)).status).toBe(200)
  await world.database.superuser(`update account_user set state = 'disabled' where sub = 'sam'`)
  const refused = await world.post('sam', `/v1/leases/${lease.id}/credential`, {}, { 'x-correlation-id': 'disabled-1' })
  await world.database.superuser(`update account_user set state = 'active' where sub = 'sam'`)
  expect([refused.status, refused.body.code]).toEqual([403, 'forbidden'])
  expect((await world.call('axe', 'GET', '/v1/audit/events?correlationId=disabled-1')).body.items).toMatchObject([
    { effect: 'deny', action: 'lease.read-credential' },
  ])
})

describe('a server that is down', () => {
  test('OpenBao: 503 names it and nothing is left behind', async () => {
    const id = await world.addIdentity('unlucky')
    await world.openBao(false)
    const answers = [await checkout('sam', id), await world.post('sam', `/v1/identities/${id}/reveal`)]
    await world.openBao(true)
    for (const { status, body } of answers) expect([status, body.code, body.role]).toEqual([503, 'dependency-unavailable', 'openbao'])
    expect((await world.call('sam', 'GET', `/v1/leases?identityId=${id}`)).body.items).toEqual([])
    expect((await checkout('sam', id)).status).toBe(201)
  })

  test('Temporal silent for 16 minutes: standard checkouts stop, checkins go on', async () => {
    const [held, free] = [await world.addIdentity('silent held'), await world.addIdentity('silent free')]
    const {
      body: { lease },
    } = await checkout('sam', held)
    await world.database.superuser(`update relay_state set last_temporal_call_at = clock_timestamp() - interval '16 minutes'`)
    const { status, body } = await checkout('sam', free)
    expect([status, body.code, body.role]).toEqual([503, 'dependency-unavailable', 'temporal'])
    expect((await world.post('sam', `/v1/leases/${lease.id}/checkin`)).status).toBe(200)
    await world.database.superuser('update relay_state set last_temporal_call_at = clock_timestamp()')
    expect((await checkout('sam', free)).status).toBe(201)
  })
})

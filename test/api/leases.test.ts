import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { LeaseAnswer } from '#schemas/lease.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
beforeAll(async () => {
  world = await createApiWorld()
})
afterAll(() => world?.end())

const ask = { reason: 'deploy 42', durationMinutes: 30 }
const checkout = (sub: string, identityId: string) => world.post(sub, `/v1/identities/${identityId}/checkout`, ask)
const events = async (leaseId: string): Promise<string[]> =>
  (await world.call('axe', 'GET', `/v1/audit/events?leaseId=${leaseId}`)).body.items.map(
    (event: { action: string; outcome: string }) => `${event.action} ${event.outcome}`,
  )

describe('a lease', () => {
  test('shows its value again to its holder and to nobody else', async () => {
    const id = await world.addIdentity('shown')
    const {
      body: { lease },
    } = await checkout('sam', id)
    const { status, body } = await world.post('sam', `/v1/leases/${lease.id}/credential`)
    expect([status, body]).toEqual([200, { username: 'shown', value: 'password of shown' }])
    for (const sub of ['mia', 'ola', 'vic']) expect((await world.post(sub, `/v1/leases/${lease.id}/credential`)).status).toBe(403)
    expect(await events(lease.id)).toContain('lease.credential_read success')
  })

  test('is extended by its holder, at most to 1440 minutes after its start', async () => {
    const id = await world.addIdentity('extended')
    const {
      body: { lease },
    } = await checkout('sam', id)
    const { status, body } = await world.post('sam', `/v1/leases/${lease.id}/extend`, { minutes: 15 })
    expect([status, body.lease.version]).toEqual([200, 2])
    expect(Date.parse(body.lease.expiresAt) - Date.parse(lease.expiresAt)).toBe(15 * 60_000)
    const most = await world.post('sam', `/v1/leases/${lease.id}/extend`, { minutes: 1440 })
    expect(Date.parse(most.body.lease.expiresAt) - Date.parse(lease.startedAt)).toBe(1440 * 60_000)
    expect((await world.post('ola', `/v1/leases/${lease.id}/extend`, { minutes: 5 })).status).toBe(403)
  })

  test('ends by its checkin, however often it comes', async () => {
    const id = await world.addIdentity('returned')
    const {
      body: { lease },
    } = await checkout('sam', id)
    for (let times = 0; times < 2; times += 1) {
      const { status, body } = await world.post('sam', `/v1/leases/${lease.id}/checkin`)
      expect([status, LeaseAnswer.parse(body).lease.state, body.lease.endCause]).toEqual([200, 'ended', 'checked_in'])
    }
    expect((await world.post('sam', `/v1/leases/${lease.id}/credential`)).body.code).toBe('lease-not-active')
    expect((await world.post('sam', `/v1/leases/${lease.id}/extend`, { minutes: 5 })).body.code).toBe('lease-not-active')
    expect((await events(lease.id)).filter((event) => event.startsWith('lease.ended'))).toEqual(['lease.ended checked_in'])
    expect((await checkout('mia', id)).status).toBe(201)
  })

  test('of another person is ended by a manager, with a reason', async () => {
    const id = await world.addIdentity('forced')
    const {
      body: { lease },
    } = await checkout('sam', id)
    expect((await world.post('vic', `/v1/leases/${lease.id}/force-checkin`, { reason: 'x' })).status).toBe(403)
    const { status, body } = await world.post('ola', `/v1/leases/${lease.id}/force-checkin`, { reason: 'left the building' })
    expect([status, body.lease.endCause, body.lease.reason]).toEqual([200, 'forced', ask.reason])
    const { body: log } = await world.call('axe', 'GET', `/v1/audit/events?leaseId=${lease.id}&action=lease.ended`)
    expect(log.items).toMatchObject([{ outcome: 'forced', reason: 'left the building', actor: { sub: 'ola' } }])
  })

  test('is listed without its reason to those who may not read it', async () => {
    const id = await world.addIdentity('listed')
    const {
      body: { lease },
    } = await checkout('sam', id)
    const reasonFor = async (sub: string) => (await world.call(sub, 'GET', `/v1/leases?identityId=${id}`)).body.items[0].reason
    expect([await reasonFor('vic'), await reasonFor('sam'), await reasonFor('ola'), await reasonFor('axe')]).toEqual([null, ask.reason, ask.reason, ask.reason])
    expect((await world.call('vic', 'GET', `/v1/leases/${lease.id}`)).body.lease).toMatchObject({ id: lease.id, state: 'active', reason: null })
  })

  test('stands in a list that is read page by page, newest first', async () => {
    const id = await world.addIdentity('paged', { allowConcurrentCheckout: true, maxConcurrentSessions: 5 })
    const made: string[] = []
    for (let index = 0; index < 5; index += 1) made.unshift((await checkout('sam', id)).body.lease.id)
    const seen: string[] = []
    let cursor = ''
    do {
      const { body } = await world.call('sam', 'GET', `/v1/leases?identityId=${id}&limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`)
      seen.push(...body.items.map((lease: { id: string }) => lease.id))
      cursor = body.nextCursor ?? ''
    } while (cursor !== '')
    expect(seen).toEqual(made)
  })
})

describe('a reveal', () => {
  test('shows the value for 30 s, on record', async () => {
    const id = await world.addIdentity('revealed')
    const { status, body } = await world.post('sam', `/v1/identities/${id}/reveal`, { reason: 'look' })
    expect([status, body]).toEqual([200, { username: 'revealed', value: 'password of revealed', clearAfterSeconds: 30 }])
    const { body: log } = await world.call('axe', 'GET', `/v1/audit/events?identityId=${id}&action=identity.revealed`)
    expect(log.items).toMatchObject([{ reason: 'look', actor: { sub: 'sam' } }])
  })

  test('is refused while somebody else holds the identity', async () => {
    const id = await world.addIdentity('kept')
    await checkout('sam', id)
    const { status, body } = await world.post('mia', `/v1/identities/${id}/reveal`)
    expect([status, body.code, body.holder]).toEqual([409, 'identity-checked-out', 'Sam Operator'])
    expect((await world.post('sam', `/v1/identities/${id}/reveal`)).status).toBe(200)
  })
})

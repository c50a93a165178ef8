import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startAccessReview } from '#server/access-review.ts'
import { acme } from '#stack/people.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
beforeAll(async () => {
  world = await createApiWorld()
})
afterAll(() => world?.end())

const idpOf = (sub: string) => acme.users.find((user) => user.sub === sub)?.idpId ?? expect.unreachable()
const userOf = (sub: string) => acme.users.find((user) => user.sub === sub)?.id ?? expect.unreachable()
const newVault = async () => (await world.post('mia', '/v1/identity-groups', { organizationId: world.organizationId, name: randomUUID() })).body.id as string
/** @returns path of the grant */
const grant = async (vaultId: string, more: object = {}, sub = 'sam') => {
  const path = `/v1/identity-groups/${vaultId}/grants`
  const answer = await world.post('mia', path, { principal: { type: 'user', id: idpOf(sub) }, level: 'checkout', ...more })
  expect(answer.status).toBe(201)
  return `${path}/${answer.body.id}`
}
const watched = (vaultId: string, more: object = {}) =>
  world.addIdentity(randomUUID(), { identityGroupId: vaultId, hostIds: [world.hostId], rotateAfterAccessLoss: true, ...more })
const checkout = async (sub: string, id: string) => {
  const { status, body } = await world.post(sub, `/v1/identities/${id}/checkout`, { reason: 'x', durationMinutes: 30 })
  expect(status).toBe(201)
  return body.lease.id as string
}
const seeOnce = async (sub: string, id: string) => world.post(sub, `/v1/leases/${await checkout(sub, id)}/checkin`)
const triggers = async (id: string) =>
  (await world.call('mia', 'GET', `/v1/rotations?identityId=${id}`)).body.items.map((rotation: { trigger: string }) => rotation.trigger)
const startReview = () =>
  startAccessReview({
    queue: world.database.as('leasehold_relay'),
    worker: world.database.as('leasehold_worker'),
    expirer: world.database.as('leasehold_expirer'),
    log: pino({ level: 'silent' }),
    onEnded: () => {},
  })
const remove = async (path: string) => expect((await world.call('mia', 'DELETE', path)).status).toBe(204)

describe('what somebody has seen is rotated away', () => {
  test('when the grant is closed by which they saw it: at once, on record, and only where the identity says so', async () => {
    const vaultId = await newVault()
    const path = await grant(vaultId)
    const [seen, revealed, unseen, quiet] = [
      await watched(vaultId),
      await watched(vaultId),
      await watched(vaultId),
      await watched(vaultId, { rotateAfterAccessLoss: false }),
    ]
    for (const id of [seen, quiet]) await seeOnce('sam', id)
    expect((await world.post('sam', `/v1/identities/${revealed}/reveal`, {})).status).toBe(200)
    await remove(path)
    expect(await Promise.all([seen, revealed, unseen, quiet].map(triggers))).toEqual([['access_loss'], ['access_loss'], [], []])
    const { items } = (await world.call('axe', 'GET', `/v1/audit/events?identityId=${seen}&action=identity.access_lost`)).body
    expect(items).toMatchObject([{ userId: userOf('sam'), actor: { sub: 'mia' } }])
    const waits = await world.post('mia', `/v1/identities/${seen}/checkout`, { reason: 'x', durationMinutes: 30 })
    expect([waits.status, waits.body.code]).toEqual([409, 'identity-awaiting-rotation'])
  })

  test('not while another grant still shows it to them', async () => {
    const vaultId = await newVault()
    const group = (await world.post('mia', '/v1/idp-groups', { name: randomUUID() })).body.id
    const path = await grant(vaultId)
    expect(
      (await world.post('mia', `/v1/identity-groups/${vaultId}/grants`, { principal: { type: 'group', id: group }, level: 'view_credentials' })).status,
    ).toBe(201)
    expect((await world.call('mia', 'PUT', `/v1/idp-groups/${group}/members/${idpOf('sam')}`)).status).toBeLessThan(300)
    const id = await watched(vaultId)
    await seeOnce('sam', id)
    await remove(path)
    expect(await triggers(id)).toEqual([])
    await remove(`/v1/idp-groups/${group}/members/${idpOf('sam')}`)
    expect(await triggers(id)).toEqual(['access_loss'])
  })

  test('not when it logs in nowhere any more', async () => {
    const vaultId = await newVault()
    const path = await grant(vaultId)
    const id = await watched(vaultId)
    await seeOnce('sam', id)
    expect((await world.call('mia', 'PATCH', `/v1/identities/${id}`, { body: { credential: 'set by a person since' } })).status).toBe(200)
    await remove(path)
    expect(await triggers(id)).toEqual([])
  })

  test('when the last holder leaves, if somebody else holds it', async () => {
    const vaultId = await newVault()
    const path = await grant(vaultId)
    await grant(vaultId, {}, 'vic')
    const id = await watched(vaultId, { allowConcurrentCheckout: true, maxConcurrentSessions: 2 })
    await seeOnce('sam', id)
    const held = await checkout('vic', id)
    await remove(path)
    expect(await triggers(id)).toEqual([])
    const { body } = await world.post('vic', `/v1/leases/${held}/checkin`)
    expect(await triggers(id)).toEqual(['access_loss'])
    expect(body.lease.rotationId).toBeNull()
  })

  test('when their lease is taken from them, the account of the person is disabled', async () => {
    const sub = `leaver-${randomUUID()}`
    const { body: user } = await world.post('mia', '/v1/users', { sub })
    const { body: role } = await world.post('mia', '/v1/roles', { name: sub, permissions: ['pam_vaults.view'] })
    await world.post('mia', `/v1/roles/${role.id}/assignments`, { principal: { type: 'user', id: user.id } })
    const { body: record } = await world.post('mia', '/v1/idp-users', { email: `${sub}@acme.example` })
    const vaultId = await newVault()
    expect((await world.post('mia', `/v1/identity-groups/${vaultId}/grants`, { principal: { type: 'user', id: record.id }, level: 'checkout' })).status).toBe(
      201,
    )
    const authorization = `Bearer ${await world.issuer.token(sub, { email: `${sub}@acme.example`, email_verified: true })}`
    const as = (method: string, path: string, body: object = {}) =>
      world.call(null, method, path, { body, headers: { authorization, 'idempotency-key': randomUUID() } })
    const [held, past] = [await watched(vaultId), await watched(vaultId)]
    const taken = await as('POST', `/v1/identities/${held}/checkout`, { reason: 'x', durationMinutes: 30 })
    expect(taken.status).toBe(201)
    expect((await as('POST', `/v1/identities/${past}/reveal`)).status).toBe(200)
    expect((await world.call('mia', 'PATCH', `/v1/users/${user.id}`, { body: { state: 'disabled' } })).status).toBe(200)
    expect((await world.call('mia', 'GET', `/v1/leases/${taken.body.lease.id}`)).body.state).toBe('ended')
    expect([await triggers(held), await triggers(past)]).toEqual([['access_loss'], ['access_loss']])
  })

  test('when a grant ends by itself, and when the identity moves to a vault that they have nothing to do with', async () => {
    const [vaultId, elsewhere] = [await newVault(), await newVault()]
    await grant(vaultId, { expiresAt: new Date(Date.now() + 2_000).toISOString() })
    const [ended, moved] = [await watched(vaultId), await watched(vaultId)]
    for (const id of [ended, moved]) await seeOnce('sam', id)
    const loop = startReview()
    try {
      expect((await world.post('mia', `/v1/identities/${moved}/move`, { identityGroupId: elsewhere })).status).toBe(200)
      await expect.poll(() => triggers(moved), { timeout: 10_000 }).toEqual(['access_loss'])
      await expect.poll(() => triggers(ended), { timeout: 10_000 }).toEqual(['access_loss'])
    } finally {
      await loop.stop()
    }
  })
})

test('the end of a grant that somebody holds keeps no other from being reviewed', async () => {
  const [stuck, free] = [await newVault(), await newVault()]
  const expiresAt = (ms: number) => ({ expiresAt: new Date(Date.now() + ms).toISOString() })
  const held = (await grant(stuck, expiresAt(1_500))).split('/').at(-1)
  await grant(free, expiresAt(2_000))
  const id = await watched(free)
  await seeOnce('sam', id)
  const holder = new pg.Client({ connectionString: new URL(`/${world.database.name}`, process.env['LEASEHOLD_TEST_POSTGRES_URL']).href })
  await holder.connect()
  await holder.query('begin')
  await holder.query('select from vault_grant where id = $1 for update', [held])
  const loop = startReview()
  try {
    await expect.poll(() => triggers(id), { timeout: 10_000 }).toEqual(['access_loss'])
  } finally {
    await loop.stop()
    await holder.end()
  }
})

test('it needs hosts that can change the credential', async () => {
  const vaultId = await newVault()
  const body = { identityGroupId: vaultId, name: 'x', username: 'x', credentialType: 'password', credential: 'x', rotateAfterAccessLoss: true }
  const none = await world.post('mia', '/v1/identities', body)
  expect([none.status, none.body.errors]).toEqual([422, [{ path: 'rotateAfterAccessLoss', message: 'needs at least one host in hostIds' }]])
  const other = await world.post('mia', '/v1/identities', { ...body, credentialType: 'other', hostIds: [world.hostId] })
  expect([other.status, other.body.errors?.[0].path]).toEqual([422, 'rotateAfterAccessLoss'])
})

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { acme } from '#stack/people.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

/** What may be changed of identities and vaults while they are in use, and what is refused. */

let world: ApiWorld
beforeAll(async () => {
  world = await createApiWorld()
  // A second and a third holder of `demo`.
  for (const sub of ['vic', 'axe']) {
    const idpId = acme.users.find((user) => user.sub === sub)?.idpId
    await world.post('mia', `/v1/identity-groups/${world.vaultId}/grants`, { principal: { type: 'user', id: idpId }, level: 'checkout' })
  }
})
afterAll(() => world?.end())

const patch = (id: string, body: object, headers = {}) => world.call('mia', 'PATCH', `/v1/identities/${id}`, { body, headers })
const read = async (id: string) => (await world.call('mia', 'GET', `/v1/identities/${id}`)).body
const checkout = (sub: string, id: string) => world.post(sub, `/v1/identities/${id}/checkout`, { reason: 'deploy 42', durationMinutes: 30 })
const codeOf = ({ status, body }: { status: number; body: any }) => [status, body?.code]
const faultOf = ({ status, body }: { status: number; body: any }) => [status, body.errors?.map(({ path }: { path: string }) => path)]

describe('concurrent checkout', () => {
  test('lowered under open leases ends none of them, and holds for the next one', async () => {
    const id = await world.addIdentity('lowered', { allowConcurrentCheckout: true, maxConcurrentSessions: 3 })
    const leases = [(await checkout('sam', id)).body.lease, (await checkout('vic', id)).body.lease]
    expect((await patch(id, { maxConcurrentSessions: 1 })).body).toMatchObject({ maxConcurrentSessions: 1, activeLeases: 2 })
    for (const { id: leaseId } of leases) expect((await world.call('mia', 'GET', `/v1/leases/${leaseId}`)).body.state).toBe('active')
    expect(codeOf(await checkout('axe', id))).toEqual([409, 'max-concurrent-sessions'])
    await world.post('sam', `/v1/leases/${leases[0].id}/checkin`)
    expect(codeOf(await checkout('axe', id))).toEqual([409, 'max-concurrent-sessions'])
    await world.post('vic', `/v1/leases/${leases[1].id}/checkin`)
    expect((await checkout('axe', id)).status).toBe(201)
  })

  test('raised lets the next one in at once', async () => {
    const id = await world.addIdentity('raised', { allowConcurrentCheckout: true, maxConcurrentSessions: 1 })
    expect((await checkout('sam', id)).status).toBe(201)
    expect(codeOf(await checkout('vic', id))).toEqual([409, 'max-concurrent-sessions'])
    await patch(id, { maxConcurrentSessions: 2 })
    expect((await checkout('vic', id)).status).toBe(201)
  })

  test('switched off and on again under open leases ends none; while it is off the identity is exclusive', async () => {
    const id = await world.addIdentity('switched', { allowConcurrentCheckout: true, maxConcurrentSessions: 3 })
    const { lease } = (await checkout('sam', id)).body
    expect((await patch(id, { allowConcurrentCheckout: false, maxConcurrentSessions: null })).body).toMatchObject({ activeLeases: 1 })
    expect(codeOf(await checkout('vic', id))).toEqual([409, 'identity-checked-out'])
    await patch(id, { allowConcurrentCheckout: true, maxConcurrentSessions: 2 })
    expect((await checkout('vic', id)).status).toBe(201)
    expect((await world.call('mia', 'GET', `/v1/leases/${lease.id}`)).body.state).toBe('active')
  })

  test('has a maximum when it is on and none when it is off: 422 that names it', async () => {
    const id = await world.addIdentity('paired')
    for (const body of [{ allowConcurrentCheckout: true }, { maxConcurrentSessions: 2 }, { allowConcurrentCheckout: true, maxConcurrentSessions: 0 }]) {
      expect(faultOf(await patch(id, body))).toEqual([422, ['maxConcurrentSessions']])
    }
    await patch(id, { allowConcurrentCheckout: true, maxConcurrentSessions: 2 })
    expect(faultOf(await patch(id, { allowConcurrentCheckout: false }))).toEqual([422, ['maxConcurrentSessions']])
    expect(faultOf(await patch(id, { maxConcurrentSessions: null }))).toEqual([422, ['maxConcurrentSessions']])
    expect(await read(id)).toMatchObject({ allowConcurrentCheckout: true, maxConcurrentSessions: 2, version: 2 })
  })
})

describe('an identity that is disabled', () => {
  test('keeps its leases, is neither checked out nor revealed, and is used again once it is enabled', async () => {
    const id = await world.addIdentity('switch', { allowConcurrentCheckout: true, maxConcurrentSessions: 3 })
    const { lease } = (await checkout('sam', id)).body
    expect((await patch(id, { state: 'disabled' })).body).toMatchObject({ state: 'disabled', activeLeases: 1 })
    expect(codeOf(await checkout('vic', id))).toEqual([409, 'identity-disabled'])
    expect(codeOf(await world.post('vic', `/v1/identities/${id}/reveal`))).toEqual([409, 'identity-disabled'])
    expect((await world.post('sam', `/v1/leases/${lease.id}/credential`)).body.value).toBe('password of switch')
    expect((await world.post('sam', `/v1/leases/${lease.id}/checkin`)).status).toBe(200)
    expect(codeOf(await checkout('sam', id))).toEqual([409, 'identity-disabled'])
    expect((await patch(id, { state: 'active' })).body.state).toBe('active')
    expect((await checkout('vic', id)).status).toBe(201)
    expect((await world.post('vic', `/v1/identities/${id}/reveal`)).body.value).toBe('password of switch')
  })
})

describe('the hosts of an identity', () => {
  const newHost = async (): Promise<string> => {
    const { organizationId, connectorId } = world
    return (await world.post('mia', '/v1/hosts', { organizationId, name: randomUUID(), address: '127.0.0.1', port: 5432, adapter: 'postgres', connectorId }))
      .body.id
  }

  test('are added and taken away one by one; those that stay keep what is known of them', async () => {
    const [one, two] = [await newHost(), await newHost()]
    const id = await world.addIdentity('placed', { hostIds: [one] })
    await world.database.superuser(`update identity_host set sync = 'in_sync' where identity_id = $1`, [id])
    const { body } = await patch(id, { hostIds: [one, two] })
    expect(body.hosts.toSorted((a: { sync: string }, b: { sync: string }) => (a.sync < b.sync ? -1 : 1))).toMatchObject([
      { hostId: one, credentialVersion: 1, sync: 'in_sync' },
      { hostId: two, credentialVersion: 1, sync: 'unknown' },
    ])
    expect((await patch(id, { hostIds: [two] })).body.hostIds).toEqual([two])
    expect((await patch(id, { hostIds: [] })).body.hosts).toEqual([])
  })

  test('are of its organization, stay while it rotates after use, and do not change under a lease', async () => {
    const host = await newHost()
    const elsewhere = (await world.post('mia', '/v1/organizations', { name: randomUUID() })).body.id
    const connectorId = (await world.post('mia', '/v1/connectors', { organizationId: elsewhere, name: 'edge' })).body.id
    const foreign = { organizationId: elsewhere, name: 'foreign', address: '127.0.0.1', port: 5432, adapter: 'postgres', connectorId }
    const foreignId = (await world.post('mia', '/v1/hosts', foreign)).body.id
    const id = await world.addIdentity('rooted', { hostIds: [host], rotateAfterUse: true })
    expect((await patch(id, { hostIds: [foreignId] })).status).toBe(404)
    expect(faultOf(await patch(id, { hostIds: [] }))).toEqual([422, ['rotateAfterUse']])
    await patch(id, { rotateAfterUse: false })
    await checkout('sam', id)
    expect(codeOf(await patch(id, { hostIds: [] }))).toEqual([409, 'identity-checked-out'])
    expect((await read(id)).hostIds).toEqual([host])
  })
})

describe('a vault', () => {
  const newVault = async (name: string = randomUUID()) => (await world.post('mia', '/v1/identity-groups', { organizationId: world.organizationId, name })).body
  const call = (method: string, id: string, body?: object, headers = {}) =>
    world.call('mia', method, `/v1/identity-groups/${id}`, { ...(body && { body }), headers })

  test('is deleted only when it is empty, and says how many there are: deleted and moved ones do not count', async () => {
    const { id } = await newVault()
    const ids = await Promise.all(['one', 'two', 'three'].map((name) => world.addIdentity(`counted ${name}`, { identityGroupId: id })))
    const refusal = async () => {
      const { status, body } = await call('DELETE', id)
      return [status, body?.code, body?.detail]
    }
    expect(await refusal()).toEqual([409, 'vault-not-empty', 'Cannot delete group with 3 identities'])
    await world.call('mia', 'DELETE', `/v1/identities/${ids[0]}`)
    expect(await refusal()).toEqual([409, 'vault-not-empty', 'Cannot delete group with 2 identities'])
    await world.post('mia', `/v1/identities/${ids[1]}/move`, { identityGroupId: world.vaultId })
    expect(await refusal()).toEqual([409, 'vault-not-empty', 'Cannot delete group with 1 identities'])
    expect((await call('GET', id)).body.identities).toBe(1)
    await world.call('mia', 'DELETE', `/v1/identities/${ids[2]}`)
    expect((await call('DELETE', id)).status).toBe(204)
  })

  test('is renamed while its identities are held, but not to a name that is taken; a deleted one gives its name back', async () => {
    const [vault, taken] = [await newVault(), await newVault()]
    const id = await world.addIdentity('lodger', { identityGroupId: vault.id })
    expect((await world.post('mia', `/v1/identities/${id}/checkout`, { reason: 'x', durationMinutes: 5 })).status).toBe(201)
    expect(codeOf(await call('PATCH', vault.id, { name: taken.name }))).toEqual([409, 'already-exists'])
    expect((await call('DELETE', taken.id)).status).toBe(204)
    expect((await call('PATCH', vault.id, { name: taken.name })).body).toMatchObject({ name: taken.name, version: 2 })
    expect((await world.post('mia', `/v1/identities/${id}/reveal`)).body.value).toBe('password of lodger')
  })

  test('and an identity are changed, moved and deleted only at the version that the caller saw (If-Match)', async () => {
    const vault = await newVault()
    const id = await world.addIdentity('versioned', { identityGroupId: vault.id })
    const stale = { 'if-match': '"9"' }
    const identity = `/v1/identities/${id}`
    const attempts = (headers: Record<string, string>) => [
      () => world.call('mia', 'PATCH', identity, { body: { name: 'renamed' }, headers }),
      () => world.call('mia', 'PATCH', identity, { body: { state: 'disabled' }, headers }),
      () => world.call('mia', 'PATCH', identity, { body: { hostIds: [world.hostId] }, headers }),
      () => world.call('mia', 'PATCH', identity, { body: { credential: 'other' }, headers }),
      () => world.post('mia', `${identity}/move`, { identityGroupId: world.vaultId }, headers),
      () => world.call('mia', 'DELETE', identity, { headers }),
      () => call('PATCH', vault.id, { name: randomUUID() }, headers),
      () => call('DELETE', vault.id, undefined, headers),
    ]
    for (const attempt of attempts(stale)) expect(codeOf(await attempt())).toEqual([412, 'precondition-failed'])
    expect([(await read(id)).version, (await call('GET', vault.id)).body.version]).toEqual([1, 1])
    // With the tag of the answer before, each of them is done.
    let tag = (await world.call('mia', 'GET', identity)).headers.get('etag') ?? ''
    for (const index of [0, 1, 2, 3, 4]) {
      const answer = await attempts({ 'if-match': tag })[index]?.()
      expect([index, answer?.status]).toEqual([index, 200])
      expect(answer?.headers.get('etag')).not.toBe(tag)
      tag = answer?.headers.get('etag') ?? ''
    }
    expect((await world.call('mia', 'DELETE', identity, { headers: { 'if-match': tag } })).status).toBe(204)
    const { headers } = await call('GET', vault.id)
    expect((await call('DELETE', vault.id, undefined, { 'if-match': headers.get('etag') ?? '' })).status).toBe(204)
  })
})

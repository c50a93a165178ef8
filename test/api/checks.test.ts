import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CheckAnswer } from '#schemas/check.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
beforeAll(async () => {
  world = await createApiWorld()
})
afterAll(() => world?.end())

const add = (settings = {}) => world.addIdentity(randomUUID(), { hostIds: [world.hostId], ...settings })
const check = (id: string, headers: Record<string, string> = {}, sub = 'ola') => world.post(sub, `/v1/identities/${id}/check`, {}, headers)
const sql = (text: string, id: string) => world.database.superuser(text, [id])

describe('a check that somebody asks for', () => {
  test('is accepted, says of each host how it goes, and can be read by whoever sees the identity', async () => {
    const id = await add()
    const { status, body, headers } = await check(id)
    expect([status, headers.get('location')]).toEqual([202, `/v1/identities/${id}/check`])
    const { userId } = (await world.call('ola', 'GET', '/v1/me')).body.user
    expect(CheckAnswer.parse(body).check).toMatchObject({
      identityId: id,
      state: 'pending',
      hosts: [
        { hostId: world.hostId, connectorId: world.connectorId, state: 'waiting', credentialVersion: 1, outcome: null, ...(userId && { requestedBy: userId }) },
      ],
    })
    expect((await world.call('vic', 'GET', `/v1/identities/${id}/check`)).body).toEqual(body)
    expect((await sql(`select actor_kind from audit_event where identity_id = $1 and action = 'check.requested'`, id)).rows).toEqual([{ actor_kind: 'user' }])
  })

  test('asks once for the same key, and joins what is under way: nobody is asked twice at a time', async () => {
    const id = await add()
    const headers = { 'idempotency-key': randomUUID() }
    const first = await check(id, headers)
    await sql(`update credential_check set state = 'done', outcome = 'in_sync', finished_at = now() where identity_id = $1`, id)
    expect((await check(id, headers)).body.check).toMatchObject({ state: 'done', hosts: [{ jobId: first.body.check.hosts[0].jobId, outcome: 'in_sync' }] })
    await Promise.all([check(id), check(id)])
    const { rows } = await sql('select state, claims from credential_check where identity_id = $1', id)
    expect(rows).toEqual([{ state: 'waiting', claims: 0 }])
  })

  test('is refused where no host can be asked, and while the identity is rotating', async () => {
    const code = async (id: string) => {
      const { status, body } = await check(id)
      return [status, body.code]
    }
    expect(await code(await add({ hostIds: [] }))).toEqual([422, 'identity-has-no-hosts'])
    expect(await code(await add({ credentialType: 'other' }))).toEqual([422, 'credential-not-rotatable'])
    const rotating = await add()
    const { rotation } = (await world.post('ola', `/v1/identities/${rotating}/rotate`)).body
    expect((await check(rotating)).body).toMatchObject({ status: 409, code: 'rotation-open', rotationId: rotation.id })
  })
})

test('identities are found by how they are on a host, and by nothing that only looks like it', async () => {
  const [drifted, unreachable, both, fine] = [await add(), await add(), await add(), await add()]
  const set = (id: string, columns: string) => sql(`update identity_host set ${columns} where identity_id = $1`, id)
  await set(drifted, `sync = 'drifted'`)
  await set(unreachable, `sync = 'in_sync', unreachable_since = now()`)
  await set(both, `sync = 'drifted', unreachable_since = now()`)
  await set(fine, `sync = 'in_sync'`)
  const found = async (health: string) => {
    const { items } = (await world.call('vic', 'GET', `/v1/identities?health=${health}&limit=100`)).body
    return [drifted, unreachable, both, fine].filter((id) => items.some((item: { id: string }) => item.id === id))
  }
  expect(await found('drifted')).toEqual([drifted, both])
  expect(await found('unreachable')).toEqual([unreachable])
  expect(await found('in_sync')).toEqual([fine])
  expect(await found('unknown')).toEqual([])
  expect((await world.call('vic', 'GET', '/v1/identities?health=broken')).status).toBe(422)
})

test('the interval is one of hours, and a drift is rotated away only where somebody else can set the value', async () => {
  const id = await add({ checkIntervalHours: 8760 })
  const patch = (body: object) => world.call('ola', 'PATCH', `/v1/identities/${id}`, { body })
  expect((await world.call('ola', 'GET', `/v1/identities/${id}`)).body).toMatchObject({ checkIntervalHours: 8760, reconcileDrift: false })
  for (const checkIntervalHours of [0, 8761, 1.5, '24']) expect((await patch({ checkIntervalHours })).status).toBe(422)
  expect((await patch({ checkIntervalHours: null })).body).toMatchObject({ checkIntervalHours: null, nextCheckAt: null })
  const refused = await patch({ reconcileDrift: true })
  expect([refused.status, refused.body.errors?.[0].path]).toEqual([422, 'reconcileDrift'])
  const adminIdentityId = await add({ hostIds: [] })
  expect((await world.call('mia', 'PATCH', `/v1/hosts/${world.hostId}`, { body: { adminIdentityId } })).status).toBe(200)
  expect((await patch({ reconcileDrift: true })).body).toMatchObject({ reconcileDrift: true })
  expect((await patch({ hostIds: [] })).body.errors?.[0].path).toBe('reconcileDrift')
})

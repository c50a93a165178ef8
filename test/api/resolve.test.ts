import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createRotationActivities, type RotationActivities } from '#activities/rotation.ts'
import { acme } from '#stack/people.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
let worker: RotationActivities
beforeAll(async () => {
  world = await createApiWorld()
  worker = createRotationActivities({ db: world.database.as('leasehold_worker'), vaultKeys: world.parts.vaultKeys })
})
afterAll(() => world?.end())

let identity: string
let old: string
const subject = (rotation: string) => ({ accountId: acme.id, subjectId: rotation })
/** As far as the worker brings it. */
async function rotate(body: object): Promise<string> {
  const { status, body: answer } = await world.post('mia', `/v1/identities/${identity}/rotate`, body)
  expect([status, answer.detail]).toEqual([202, undefined])
  const { id } = answer.rotation
  await worker.stageRotation(subject(id))
  await worker.openRotationJobs(subject(id))
  return id
}
/** A connector took the job and was never heard of again, long ago. */
async function doubt(rotation: string, reason = 'lapsed'): Promise<void> {
  const move = (state: string) =>
    world.database.superuser(
      `update job set state = $2, instance = gen_random_uuid(), lease_until = now(), epoch = 1, reason_class = $3, doubt_since = now() - interval '20 minutes' where rotation_id = $1`,
      [rotation, state, reason],
    )
  await move('claimed')
  await move('doubt')
  await worker.raiseRotationAttention(subject(rotation))
}
const read = async (rotation: string) => (await world.call('mia', 'GET', `/v1/rotations/${rotation}`)).body
const resolve = (rotation: string, outcome: string, more: object = {}) =>
  world.post('ola', `/v1/rotations/${rotation}/resolve`, { outcome, reason: 'looked at the target', ...more })
const reveal = async (): Promise<string> => (await world.post('mia', `/v1/identities/${identity}/reveal`)).body.value
const candidates = (sub: string, rotation: string) => world.post(sub, `/v1/rotations/${rotation}/credentials`)

describe('a rotation of an identity without hosts', () => {
  beforeEach(async () => {
    const name = `hostless ${randomUUID()}`
    identity = await world.addIdentity(name)
    old = `password of ${name}`
  })

  test('waits for a person, who sees both values, sets the new one and says so: it is the present one then', async () => {
    const rotation = await rotate({ vaultOnly: true })
    expect(await read(rotation)).toMatchObject({ state: 'pending', needsAttention: true })
    const { body } = await candidates('mia', rotation)
    expect(body.current).toEqual([{ version: 1, value: old }])
    expect(await reveal()).toBe(old)
    expect((await resolve(rotation, 'applied')).body.rotation).toMatchObject({ state: 'confirmed', needsAttention: false })
    expect(await reveal()).toBe(body.staged.value)
    expect((await resolve(rotation, 'applied')).body.code).toBe('nothing-to-resolve')
    const { items } = (await world.call('axe', 'GET', `/v1/audit/events?identityId=${identity}`)).body
    expect(items.map((item: { action: string }) => item.action)).toEqual(
      expect.arrayContaining(['rotation.credentials_read', 'rotation.resolved', 'rotation.confirmed']),
    )
    const { rows } = await world.database.superuser(
      'select array_agg(version order by version) as versions from exposure where identity_id = $1 and lease_id is null',
      [identity],
    )
    expect(rows[0].versions).toEqual(expect.arrayContaining([1, 2]))
  })

  test('that was not set on the target is over, and the old value stays', async () => {
    const rotation = await rotate({ vaultOnly: true })
    expect((await resolve(rotation, 'not_applied')).body.rotation).toMatchObject({ state: 'failed' })
    expect(await reveal()).toBe(old)
    expect((await world.post('mia', `/v1/identities/${identity}/rotate`, { vaultOnly: true })).status).toBe(202)
  })

  test('shows its values to nobody without pam_vaults.manage and a grant to see them', async () => {
    const rotation = await rotate({ vaultOnly: true })
    expect((await candidates('ola', rotation)).body.missing).toBe('vault access: view_credentials')
    expect((await candidates('sam', rotation)).body.missing).toBe('pam_vaults.manage')
    expect((await candidates('gus', rotation)).status).toBe(404)
    expect((await world.post('sam', `/v1/rotations/${rotation}/resolve`, { outcome: 'applied', reason: 'x' })).status).toBe(403)
  })

  test('that is used with the approval of others shows its values to an owner alone, on record', async () => {
    const rotation = await rotate({ vaultOnly: true })
    const ola = { type: 'user', id: acme.users.find(({ sub }) => sub === 'ola')?.idpId }
    await world.post('mia', `/v1/identity-groups/${world.vaultId}/grants`, { principal: ola, level: 'view_credentials' })
    expect((await candidates('ola', rotation)).status).toBe(200)
    await world.post('mia', '/v1/approval-policies', { identityId: identity, steps: [{ approvers: [{ type: 'permission' }] }] })
    const refused = await candidates('ola', rotation)
    expect([refused.status, refused.body.code, refused.body.current]).toEqual([403, 'approval-required', undefined])
    expect((await candidates('mia', rotation)).body.current).toEqual([{ version: 1, value: old }])
    const { items } = (await world.call('axe', 'GET', `/v1/audit/events?identityId=${identity}&action=rotation.credentials_read`)).body
    expect(items).toHaveLength(2)
  })
})

describe('a host that is in doubt', () => {
  beforeEach(async () => {
    const name = `hosted ${randomUUID()}`
    identity = await world.addIdentity(name, { hostIds: [world.hostId] })
    old = `password of ${name}`
  })
  const host = async () => (await world.call('mia', 'GET', `/v1/identities/${identity}`)).body.hosts[0]

  test.each([
    ['applied', 'confirmed', 2],
    ['not_applied', 'failed', 1],
  ])(
    'is resolved as %s: the rotation is %s, the vault has the value that was found, the host is drifted until a login proves it',
    async (outcome, state, version) => {
      const rotation = await rotate({})
      await doubt(rotation)
      const { body } = await candidates('mia', rotation)
      expect(body.current.map((one: { value: string }) => one.value)).toEqual([old])
      expect((await resolve(rotation, outcome)).body.rotation).toMatchObject({ state })
      expect(await host()).toMatchObject({ credentialVersion: version, sync: 'drifted' })
      expect(await reveal()).toBe(outcome === 'applied' ? body.staged.value : old)
    },
  )

  test('is not resolved while a connector is at it, before it needs a person, for a host that is not in doubt, or without a reason', async () => {
    const rotation = await rotate({})
    expect((await resolve(rotation, 'applied')).body.code).toBe('nothing-to-resolve')
    await doubt(rotation, 'unreachable')
    expect((await resolve(rotation, 'applied', { hostId: randomUUID() })).status).toBe(422)
    expect((await resolve(rotation, 'applied', { reason: '' })).status).toBe(422)
    await world.database.superuser(`update job set state = 'claimed' where rotation_id = $1`, [rotation])
    expect((await resolve(rotation, 'applied')).body.code).toBe('identity-rotating')
  })
})

import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createApp } from '#api/app.ts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { acme } from '#stack/people.ts'
import { AccountId, RotationId } from '#schemas/ids.ts'
import { RotationAnswer } from '#schemas/rotation.ts'
import { inAccount } from '#store/connection.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
beforeAll(async () => {
  world = await createApiWorld()
})
afterAll(() => world?.end())

const rotate = (sub: string, identityId: string, body: unknown = {}, headers: Record<string, string> = {}) =>
  world.post(sub, `/v1/identities/${identityId}/rotate`, body, headers)
/** Ends a rotation as a worker would see it end, without a worker. */
const finish = (id: string, state: 'confirmed' | 'failed') =>
  inAccount(world.database.as('leasehold_worker'), AccountId.parse(acme.id), (trx) =>
    trx.updateTable('rotation').set({ state, phase: 'done', finished_at: new Date(), version: 2 }).where('id', '=', RotationId.parse(id)).execute(),
  )

describe('a manual rotation', () => {
  test('is accepted as pending, with its hosts, and can be read', async () => {
    const id = await world.addIdentity('rotated', { hostIds: [world.hostId] })
    const { status, body, headers } = await rotate('ola', id)
    expect(status).toBe(202)
    expect(RotationAnswer.parse(body).rotation).toMatchObject({
      identityId: id,
      identityGroupId: world.vaultId,
      trigger: 'manual',
      state: 'pending',
      phase: 'queued',
      needsAttention: false,
      hosts: [{ hostId: world.hostId, state: 'waiting', knownVersion: 1 }],
    })
    const location = headers.get('location') ?? ''
    expect((await world.call('vic', 'GET', location)).body).toEqual({ ...body.rotation, ...body })
    expect((await world.call('vic', 'GET', `/v1/rotations?identityId=${id}&state=pending`)).body.items).toEqual([body.rotation])
  })

  test('answers the same rotation to the same key, and 409 with its id to another', async () => {
    const id = await world.addIdentity('rotated twice', { hostIds: [world.hostId] })
    const headers = { 'idempotency-key': randomUUID() }
    const first = await rotate('ola', id, {}, headers)
    expect((await rotate('ola', id, {}, headers)).body.rotation.id).toBe(first.body.rotation.id)
    const { status, body } = await rotate('ola', id)
    expect([status, body.code, body.rotationId]).toEqual([409, 'rotation-open', first.body.rotation.id])
  })

  test('started through two replicas at once is one: the other answer is 409 with its id', async () => {
    const replica = createApp({ ...world.parts, db: world.database.as('leasehold_api', 4) })
    const authorization = `Bearer ${await world.issuer.token('ola')}`
    for (let round = 0; round < 10; round += 1) {
      const id = await world.addIdentity(`rotated by two ${round}`, { hostIds: [world.hostId] })
      const path = `/v1/identities/${id}/rotate`
      const headers = () => ({ authorization, 'content-type': 'application/json', 'idempotency-key': randomUUID() })
      const answers = await Promise.all(
        [world.app, replica].map(async (app) => {
          const response = await app.request(path, { method: 'POST', headers: headers(), body: '{}' })
          return { status: response.status, body: (await response.json()) as any }
        }),
      )
      const [won, lost] = answers.sort((one, other) => one.status - other.status)
      expect([won?.status, lost?.status, lost?.body.code]).toEqual([202, 409, 'rotation-open'])
      expect(lost?.body.rotationId).toBe(won?.body.rotation.id)
      expect((await world.call('vic', 'GET', `/v1/rotations?identityId=${id}`)).body.items).toHaveLength(1)
    }
  })

  test('of an API key answers 422: no host can change it', async () => {
    const id = await world.addIdentity('rotated key', { hostIds: [world.hostId], credentialType: 'api_key' })
    const { status, body } = await rotate('ola', id)
    expect([status, body.code, body.hint]).toEqual([422, 'credential-not-rotatable', expect.stringContaining('PATCH')])
    const settings = { rotateAfterUse: true, rotationIntervalDays: 30 }
    const promised = await world.call('ola', 'PATCH', `/v1/identities/${id}`, { body: settings })
    expect([promised.status, promised.body.errors?.map((error: { path: string }) => error.path)]).toEqual([422, Object.keys(settings)])
  })

  test('of a checked-out identity answers 409, of one without hosts 422', async () => {
    const [held, bare] = [await world.addIdentity('rotate held', { hostIds: [world.hostId] }), await world.addIdentity('rotate bare')]
    await world.post('sam', `/v1/identities/${held}/checkout`, { reason: 'x', durationMinutes: 5 })
    const answer = await rotate('ola', held)
    expect([answer.status, answer.body.detail, answer.body.holder]).toEqual([409, 'Cannot rotate while checked out', 'Sam Operator'])
    expect((await rotate('ola', bare)).body.code).toBe('identity-has-no-hosts')
  })

  test('needs pam_vaults.manage', async () => {
    const id = await world.addIdentity('rotate denied', { hostIds: [world.hostId] })
    for (const sub of ['sam', 'vic', 'axe']) expect([sub, (await rotate(sub, id)).body.missing]).toEqual([sub, 'pam_vaults.manage'])
  })
})

describe('the events of a rotation', () => {
  const eventsOf = (text: string): { state: string }[] =>
    text
      .split('\n\n')
      .filter((event) => event.startsWith('event: rotation'))
      .map((event) => JSON.parse(/^data: (.*)$/m.exec(event)?.[1] ?? ''))

  test('are its states, and end with the final one', async () => {
    const id = await world.addIdentity('followed', { hostIds: [world.hostId] })
    const {
      body: { rotation },
    } = await rotate('ola', id)
    const stream = world.call('vic', 'GET', `/v1/rotations/${rotation.id}/events`)
    await new Promise((resolve) => setTimeout(resolve, 500))
    await finish(rotation.id, 'confirmed')
    const { status, headers, text } = await stream
    expect([status, headers.get('content-type'), headers.get('cache-control')]).toEqual([200, 'text/event-stream', 'no-store'])
    expect(eventsOf(text).map(({ state }) => state)).toEqual(['pending', 'confirmed'])
  })

  test('of a final rotation are that one state', async () => {
    const id = await world.addIdentity('followed late', { hostIds: [world.hostId] })
    const {
      body: { rotation },
    } = await rotate('ola', id)
    await finish(rotation.id, 'failed')
    const { text } = await world.call('vic', 'GET', `/v1/rotations/${rotation.id}/events`)
    expect(eventsOf(text)).toMatchObject([{ id: rotation.id, state: 'failed' }])
  })

  test('end when their reader may no longer see it', async () => {
    const { rotation } = (await rotate('ola', await world.addIdentity('followed in vain', { hostIds: [world.hostId] }))).body
    const followed = world.call('sam', 'GET', `/v1/rotations/${rotation.id}/events`)
    const state = (to: string) => world.database.superuser(`update account_user set state = $1 where sub = 'sam'`, [to])
    await sleep(500)
    await state('disabled')
    expect(eventsOf((await followed).text)).toMatchObject([{ state: 'pending' }])
    await state('active')
  })

  test('end with the access token', async () => {
    const id = await world.addIdentity('followed shortly', { hostIds: [world.hostId] })
    const {
      body: { rotation },
    } = await rotate('ola', id)
    const now = Math.floor(Date.now() / 1_000)
    const authorization = `Bearer ${await world.issuer.token('vic', { iat: now - 10, exp: now + 3 })}`
    const { text } = await world.call(null, 'GET', `/v1/rotations/${rotation.id}/events`, { headers: { authorization } })
    expect(eventsOf(text)).toMatchObject([{ state: 'pending' }])
  })
})

test('whoever asks for the headers of the events only leaves nobody behind who looks for more', async () => {
  const { rotation } = (await rotate('ola', await world.addIdentity('looked at', { hostIds: [world.hostId] }))).body
  const head = await world.call('vic', 'HEAD', `/v1/rotations/${rotation.id}/events`)
  expect([head.status, head.headers.get('content-type'), head.text]).toEqual([200, 'text/event-stream', ''])
  // A reader looks several times a second; between requests nobody else does.
  const lately = `select from pg_stat_activity where datname = current_database() and usename = 'leasehold_api' and query_start > clock_timestamp() - interval '2 seconds'`
  await sleep(2_500)
  expect((await world.database.superuser(lately)).rowCount).toBe(0)
})

describe('collections', () => {
  test('jobs are readable to those who see the vault', async () => {
    expect((await world.call('vic', 'GET', '/v1/jobs?state=waiting')).body).toEqual({ items: [] })
    expect((await world.call('gus', 'GET', '/v1/rotations')).body).toEqual({ items: [] })
  })

  test('the audit log is for auditors, filtered, and reading it is on record', async () => {
    for (const sub of ['sam', 'vic', 'ola']) expect([sub, (await world.call(sub, 'GET', '/v1/audit/events')).status]).toEqual([sub, 403])
    const { body } = await world.call('axe', 'GET', '/v1/audit/events?action=rotation.requested&limit=2')
    expect(body.items).toHaveLength(2)
    const next = await world.call('axe', 'GET', `/v1/audit/events?action=rotation.requested&limit=2&cursor=${body.nextCursor}`)
    expect(next.body.items[0].time < body.items[1].time).toBe(true)
    expect((await world.call('axe', 'GET', '/v1/audit/events?from=2100-01-01T00:00:00Z')).body.items).toEqual([])
    const { body: reads } = await world.call('axe', 'GET', '/v1/audit/events?action=audit.read')
    expect(reads.items[0]).toMatchObject({ actor: { sub: 'axe' }, outcome: 'success' })
  })
})

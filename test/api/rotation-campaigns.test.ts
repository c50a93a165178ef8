import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { acme } from '#stack/people.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
/** An organization beside the one of the world, with a vault and an identity in it. */
let other: { readonly organizationId: string; readonly vaultId: string; readonly identityId: string }
let vaultId: string
let ids: string[]
let nia: string

const campaigns = '/v1/rotation-campaigns'
const made = async (path: string, body: object): Promise<string> => {
  const answer = await world.post('mia', path, body)
  if (answer.status !== 201) throw new Error(`POST ${path}: ${answer.status} ${answer.text}`)
  return answer.body.id
}
const newVault = (organizationId = world.organizationId) => made('/v1/identity-groups', { organizationId, name: randomUUID() })
const identityIn = (identityGroupId: string, more: object = {}) => world.addIdentity(randomUUID(), { identityGroupId, hostIds: [world.hostId], ...more })
const start = (sub: string, body: object, headers: Record<string, string> = {}) =>
  world.post(sub, campaigns, { organizationId: world.organizationId, reason: 'INC-2042', ...body }, headers)
const begun = async () => Number((await world.database.superuser('select count(*) from rotation_campaign')).rows[0].count)
const enforce = async (policies: string) => {
  const { body } = await world.post('ola', '/v1/policy-sets', { policies: `@id("all") permit (principal, action, resource); ${policies}` })
  expect((await world.post('ola', `/v1/policy-sets/${body.id}/activate`)).status).toBe(200)
}

beforeAll(async () => {
  world = await createApiWorld()
  const organizationId = await made('/v1/organizations', { name: 'other' })
  await world.call('mia', 'PUT', `/v1/organizations/${organizationId}/secret`, { body: {} })
  const theirs = await newVault(organizationId)
  other = { organizationId, vaultId: theirs, identityId: await world.addIdentity('theirs', { identityGroupId: theirs }) }
  // Both manage vaults in the one organization alone; vic sees all besides.
  const role = await made('/v1/roles', { name: 'manager', permissions: ['pam_vaults.manage'] })
  nia = await made('/v1/idp-users', { email: 'nia@acme.example' })
  const authorization = `Bearer ${await world.issuer.token('nia', { email: 'nia@acme.example', email_verified: true })}`
  await world.call(null, 'GET', '/v1/me', { headers: { authorization } })
  for (const id of [nia, acme.users.find(({ sub }) => sub === 'vic')?.idpId])
    await made(`/v1/roles/${role}/assignments`, { principal: { type: 'user', id }, organizationId: world.organizationId })
})
afterAll(() => world?.end())
beforeEach(async () => {
  vaultId = await newVault()
  ids = [await identityIn(vaultId), await identityIn(vaultId)]
})

describe('a campaign', () => {
  test('over whole vaults has every identity that is in them, and shows what becomes of each, page by page', async () => {
    const second = await newVault()
    const third = await identityIn(second)
    const { status, body, headers } = await start('ola', { vaultIds: [vaultId, second], atOnce: 3 })
    expect([status, body]).toEqual([
      201,
      {
        id: expect.any(String),
        organizationId: world.organizationId,
        state: 'running',
        reason: 'INC-2042',
        atOnce: 3,
        startedBy: { id: acme.users.find(({ sub }) => sub === 'ola')?.id, name: expect.any(String) },
        startedAt: expect.any(String),
        finishedAt: null,
        counts: { waiting: 3, rotating: 0, confirmed: 0, failed: 0, skipped: 0 },
      },
    ])
    expect(headers.get('location')).toBe(`${campaigns}/${body.id}`)
    await identityIn(vaultId)
    const items = `${campaigns}/${body.id}/items`
    const page = (await world.call('mia', 'GET', `${items}?limit=2&state=waiting`)).body
    const rest = (await world.call('mia', 'GET', `${items}?limit=2&state=waiting&cursor=${page.nextCursor}`)).body
    const shown = [...page.items, ...rest.items]
    expect([page.items.length, rest.nextCursor]).toEqual([2, undefined])
    expect(shown.map(({ identityId }) => identityId).sort()).toEqual([...ids, third].sort())
    expect(shown[0]).toMatchObject({ state: 'waiting', rotationId: null, waitsFor: [] })
    expect((await world.call('mia', 'GET', `${items}?state=failed`)).body.items).toEqual([])
    const listed = (await world.call('mia', 'GET', `${campaigns}?organizationId=${world.organizationId}&state=running&limit=1`)).body
    expect(listed.items).toEqual([body])
  })

  test('is paused, resumed and aborted by anybody who may, on record with who did it; once over it stays over', async () => {
    const { id } = (await start('ola', { identityIds: ids })).body
    const say = async (sub: string, verb: string) => {
      const { status, body } = await world.post(sub, `${campaigns}/${id}/${verb}`)
      return `${status} ${body.state}`
    }
    expect([await say('mia', 'pause'), await say('vic', 'pause'), await say('mia', 'resume'), await say('vic', 'abort')]).toEqual([
      '200 paused',
      '200 paused',
      '200 running',
      '200 aborting',
    ])
    const refused = await world.post('ola', `${campaigns}/${id}/resume`)
    expect([refused.status, refused.body.code, refused.body.state]).toEqual([409, 'rotation-campaign-over', 'aborting'])
    expect((await world.call('ola', 'GET', `${campaigns}/${id}`)).body.counts).toMatchObject({ waiting: 0, skipped: 2 })
    const { items } = (await world.call('axe', 'GET', '/v1/audit/events?limit=200')).body
    const log = items.filter(({ detail }: { detail: { campaignId?: string } | null }) => detail?.campaignId === id).toReversed()
    expect(log.map(({ action, actor, reason }: any) => [action, actor.sub, reason])).toEqual([
      ['rotation_campaign.started', 'ola', 'INC-2042'],
      ['rotation_campaign.paused', 'mia', null],
      ['rotation_campaign.resumed', 'mia', null],
      ['rotation_campaign.aborted', 'vic', null],
    ])
  })

  test('is begun once for an Idempotency-Key, whatever has become of its identities since', async () => {
    const headers = { 'idempotency-key': randomUUID() }
    const first = await start('ola', { identityIds: ids }, headers)
    expect((await world.call('mia', 'DELETE', `/v1/identities/${ids[0]}`)).status).toBe(204)
    const again = await start('ola', { identityIds: ids }, headers)
    expect([again.status, again.body.id]).toEqual([201, first.body.id])
    expect((await start('ola', { identityIds: ids.slice(1) }, headers)).body.code).toBe('idempotency-key-reused')
    expect((await world.call('ola', 'POST', campaigns, { body: {}, headers: { 'idempotency-key': '' } })).status).not.toBe(201)
  })

  test('names one thing or another, each once, and something that there is to rotate', async () => {
    const paths = async (body: object) => {
      const answer = await start('ola', body)
      return [answer.status, answer.body.errors?.map(({ path }: { path: string }) => path)]
    }
    expect(await paths({})).toEqual([422, ['vaultIds']])
    expect(await paths({ vaultIds: [vaultId], identityIds: ids })).toEqual([422, ['vaultIds']])
    expect(await paths({ identityIds: [ids[0], ids[0]] })).toEqual([422, ['identityIds']])
    expect(await paths({ identityIds: [] })).toEqual([422, ['identityIds']])
    expect(await paths({ vaultIds: [await newVault()] })).toEqual([422, ['vaultIds']])
    for (const atOnce of [0, 51]) expect(await paths({ identityIds: ids, atOnce })).toEqual([422, ['atOnce']])
  })
})

describe('who may', () => {
  test('is asked on every vault: nothing begins when one is not theirs, and what they may not see is not there', async () => {
    const before = await begun()
    const outcome = async (sub: string, body: object) => {
      const answer = await start(sub, body)
      return `${answer.status} ${answer.body.code}`
    }
    const { organizationId } = other
    expect(await outcome('sam', { vaultIds: [world.vaultId] })).toBe('403 forbidden')
    for (const named of [{ vaultIds: [other.vaultId] }, { identityIds: [other.identityId] }]) {
      expect(await outcome('vic', { ...named, organizationId })).toBe('403 forbidden')
      expect(await outcome('nia', { ...named, organizationId })).toBe('404 not-found')
    }
    // A vault that they may see, beside one that they may not.
    await made(`/v1/identity-groups/${other.vaultId}/grants`, { principal: { type: 'user', id: nia }, level: 'view_vault' })
    const hidden = await newVault(organizationId)
    expect(await outcome('nia', { vaultIds: [other.vaultId], organizationId })).toBe('403 forbidden')
    for (const vaultIds of [
      [other.vaultId, hidden],
      [hidden, other.vaultId],
      // It holds nothing, which is not said either.
      [hidden],
    ])
      expect(await outcome('nia', { vaultIds, organizationId })).toBe('404 not-found')
    // Of another organization than the one that is named, of another account, or nothing at all.
    for (const sub of ['vic', 'nia', 'mia'])
      for (const named of [{ vaultIds: [vaultId, other.vaultId] }, { identityIds: [...ids, other.identityId] }, { vaultIds: [vaultId, randomUUID()] }])
        expect(await outcome(sub, named)).toBe('404 not-found')
    const gus = (await world.post('gus', '/v1/organizations', { name: randomUUID() })).body.id
    for (const place of [world.organizationId, gus]) expect(await outcome('gus', { vaultIds: [vaultId], organizationId: place })).toBe('404 not-found')
    expect(await begun()).toBe(before)
    const denied = await world.database.superuser(`select outcome from audit_event where vault_id = $1 and action = 'identity.rotate'`, [other.vaultId])
    expect(denied.rows.map((row) => row.outcome).sort()).toEqual(['forbidden', 'forbidden', 'forbidden', 'not-found', 'not-found'])
    for (const sub of ['vic', 'nia']) expect((await start(sub, { vaultIds: [vaultId] })).status).toBe(201)
  })

  test('another account sees none of it and changes none of it; without the permission the reason is not shown', async () => {
    const { id } = (await start('ola', { identityIds: ids })).body
    for (const path of ['', '/items']) expect((await world.call('gus', 'GET', `${campaigns}/${id}${path}`)).status).toBe(404)
    for (const verb of ['pause', 'resume', 'abort']) expect((await world.post('gus', `${campaigns}/${id}/${verb}`)).status).toBe(404)
    expect((await world.call('gus', 'GET', campaigns)).body.items).toEqual([])
    expect((await world.call('sam', 'GET', `${campaigns}/${id}`)).body).toMatchObject({ state: 'running', reason: null })
    expect((await world.post('sam', `${campaigns}/${id}/abort`)).status).toBe(403)
  })

  test('policies judge each identity as if it were rotated alone', async () => {
    const before = await begun()
    const outcome = async () => {
      const { status, body } = await start('mia', { vaultIds: [vaultId] })
      return [status, body.policies ?? body.code]
    }
    const rotating = `action == Action::"identity.rotate", resource == Identity::"${ids[1]}"`
    await enforce(`@id("hands-off") forbid (principal, ${rotating});`)
    expect(await outcome()).toEqual([403, ['hands-off']])
    await enforce(`@obligation_require_approval("1") permit (principal, ${rotating});`)
    expect(await outcome()).toEqual([403, 'approval-required'])
    await enforce(`@obligation_max_uses("5") permit (principal, ${rotating});`)
    expect(await outcome()).toEqual([403, 'forbidden'])
    expect(await begun()).toBe(before)
    await enforce('')
    expect(await outcome()).toEqual([201, undefined])
  })
})

test('1,000 identities are one campaign, decided without keeping others waiting, and 1,001 are too many', async () => {
  const crowded = await newVault()
  const fill = (count: number) =>
    world.database.superuser(
      `insert into identity (account_id, organization_id, vault_id, name, username, credential_type, current_version)
        select account_id, organization_id, $1, gen_random_uuid()::text, 'app', 'password', 1 from identity, generate_series(1, $3) where id = $2`,
      [crowded, ids[0], count],
    )
  await fill(1_000)
  let slowest = 0
  let asking = true
  const others = (async () => {
    while (asking) {
      const began = performance.now()
      await world.call('sam', 'GET', '/v1/me')
      slowest = Math.max(slowest, performance.now() - began)
    }
  })()
  const { status, body } = await start('ola', { vaultIds: [crowded] })
  asking = false
  await others
  expect([status, body.counts?.waiting]).toEqual([201, 1_000])
  expect(slowest).toBeLessThan(1_500)
  await fill(1)
  expect((await start('ola', { vaultIds: [crowded] })).body.errors).toMatchObject([{ path: 'vaultIds' }])
}, 60_000)

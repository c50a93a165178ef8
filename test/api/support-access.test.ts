import { randomUUID } from 'node:crypto'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { UserId, type AccountId } from '#schemas/ids.ts'
import { acme } from '#stack/people.ts'
import { startAccessReview } from '#server/access-review.ts'
import { startSupportExpirer } from '#server/support-expirer.ts'
import { inAccount } from '#store/connection.ts'
import { disableSupportAccess } from '#store/support-access.ts'
import { startIssuer, type TestIssuer } from './issuer.ts'
import { peopleCalls } from './people-calls.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

/** Everything here goes without Temporal, worker and relay: there are none in this world. */

let world: ApiWorld
let vendor: TestIssuer
let sue: { readonly id: string; readonly sub: string; readonly idpUserId: string }
const told: string[] = []
beforeAll(async () => {
  vendor = await startIssuer()
  world = await createApiWorld(
    { notices: { announce: (_account, ids) => void told.push(...ids), send: async () => ({ state: 'skipped', receipt: '-' }) } },
    { supportIssuer: vendor.url, supportIssuerUrl: vendor.url },
  )
  sue = await addSupporter('sue')
})
afterAll(async () => {
  await world?.end()
  await vendor?.stop()
})
beforeEach(() => toggle({ enabled: false }))

const path = '/v1/support-access'
const toggle = (body: object, sub = 'ola') => world.call(sub, 'PUT', path, { body })
const enable = async (fields: object = {}) => {
  const answer = await toggle({ enabled: true, reason: 'Ticket 4711', ...fields })
  expect([answer.status, answer.body.enabled]).toEqual([200, true])
  return answer.body
}
const emergency = (body: object = {}) => world.post('ola', `${path}/emergency-disable`, body)
async function addSupporter(sub: string) {
  const answer = await world.post('ola', `${path}/users`, { sub, email: `${sub}@vendor.example`, name: `${sub} of the vendor` })
  expect([answer.status, answer.body.iss]).toEqual([201, vendor.url])
  const { id, idpUserId } = answer.body
  await world.post('mia', `/v1/identity-groups/${world.vaultId}/grants`, { principal: { type: 'user', id: idpUserId }, level: 'checkout' })
  return { id, sub, idpUserId }
}
const as = async (sub: string, method: string, to: string, body?: object) => {
  const authorization = `Bearer ${await vendor.token(sub)}`
  return world.call(null, method, to, { headers: { authorization, 'idempotency-key': randomUUID() }, ...(body === undefined ? {} : { body }) })
}
const checkout = (sub: string, identityId: string) => as(sub, 'POST', `/v1/identities/${identityId}/checkout`, { reason: 'Support', durationMinutes: 60 })
const shared = (name: string) => world.addIdentity(`${name} ${randomUUID()}`, { allowConcurrentCheckout: true, maxConcurrentSessions: 50 })
const row = async (text: string, values: unknown[] = []) => (await world.database.superuser(text, values)).rows
const moveClock = (ms: number) =>
  world.database.superuser(
    `insert into clock_shift values ($1, make_interval(secs => $2::float8)) on conflict (account_id) do update set shift = clock_shift.shift + excluded.shift`,
    [acme.id, ms / 1_000],
  )
const logOf = async () => (await world.call('ola', 'GET', `${path}/audit-log?limit=200`)).body.items

describe('support access', () => {
  test('is enabled with a reason and an end, changed, and disabled; all of it on record, with the reasons, and told', async () => {
    const opened = await enable({ expiresInDays: 7 })
    expect(opened).toMatchObject({ reason: 'Ticket 4711', permissions: ['pam_vaults.view'], endCause: null })
    expect(Date.parse(opened.expiresAt) - Date.parse(opened.enabledAt)).toBe(7 * 86_400_000)
    const changed = await enable({ reason: 'Ticket 4712' })
    expect(changed).toMatchObject({ id: opened.id, reason: 'Ticket 4712', expiresAt: null })
    const closed = (await toggle({ enabled: false, reason: 'Done' })).body
    expect(closed).toMatchObject({ id: opened.id, enabled: false, endCause: 'disabled' })
    const events = (await logOf()).filter((event: { detail: { windowId?: string } | null }) => event.detail?.windowId === opened.id)
    expect(events.map(({ action, reason }: { action: string; reason: string }) => [action, reason])).toEqual([
      ['support-access.disabled', 'Done'],
      ['support-access.changed', 'Ticket 4712'],
      ['support-access.enabled', 'Ticket 4711'],
    ])
    const notices = (await world.call('ola', 'GET', `/v1/notices?subjectId=${opened.id}`)).body.items
    expect(notices.map(({ kind }: { kind: string }) => kind)).toEqual(['support_access.ended', 'support_access.changed', 'support_access.enabled'])
    const stored = await row('select w::text as text from support_access w union all select e::text from audit_event e union all select n::text from notice n')
    expect(stored.map(({ text }) => text).join()).not.toContain('Ticket 471')
  })

  test.each<[object, string]>([
    [{ enabled: true }, 'reason'],
    [{ enabled: true, reason: '' }, 'reason'],
    [{ enabled: true, reason: 'x'.repeat(501) }, 'reason'],
    [{ enabled: true, reason: 'x', expiresInDays: 0 }, 'expiresInDays'],
    [{ enabled: true, reason: 'x', expiresInDays: 366 }, 'expiresInDays'],
    [{ enabled: true, reason: 'x', expiresInDays: 1.5 }, 'expiresInDays'],
    [{ enabled: true, reason: 'x', expiresInDays: '7' }, 'expiresInDays'],
    [{ enabled: false, expiresInDays: 7 }, 'expiresInDays'],
    [{ reason: 'x' }, 'enabled'],
  ])('%j is refused with 422', async (body, place) => {
    const { status, body: problem } = await toggle(body)
    expect([status, problem.errors.map((error: { path: string }) => error.path)]).toEqual([422, [place]])
  })

  test.each([1, 365])('may last %i days', async (expiresInDays) => {
    const { enabledAt, expiresAt } = await enable({ expiresInDays })
    expect(Date.parse(expiresAt) - Date.parse(enabledAt)).toBe(expiresInDays * 86_400_000)
  })
})

describe('support staff', () => {
  test('see nothing of the account without an open window, and with one what configuration gives them and vaults that are granted', async () => {
    const identityId = await shared('seen')
    const reads = ['/v1/me', '/v1/identities', `/v1/identities/${identityId}`, '/v1/leases']
    const statuses = async () => Promise.all(reads.map(async (to) => (await as('sue', 'GET', to)).status))
    const stranger = await as('nobody', 'GET', '/v1/me')
    expect(await statuses()).toEqual([403, 403, 403, 403])
    expect((await as('sue', 'GET', '/v1/me')).body.code).toBe(stranger.body.code)
    await enable()
    expect(await statuses()).toEqual([200, 200, 200, 200])
    expect((await as('sue', 'GET', '/v1/me')).body).toMatchObject({ permissions: ['pam_vaults.view'], owner: false })
    expect((await as('sue', 'PUT', path, { enabled: true, reason: 'for myself' })).status).toBe(404)
    await toggle({ enabled: false })
    expect(await statuses()).toEqual([403, 403, 403, 403])
  })

  test('gain nothing by a role: their rights are those of the window', async () => {
    const roles = (await world.call('mia', 'GET', '/v1/roles?limit=100')).body.items
    const owner = roles.find((role: { owner: boolean }) => role.owner)
    await world.post('mia', `/v1/roles/${owner.id}/assignments`, { principal: { type: 'user', id: sue.idpUserId } })
    expect((await as('sue', 'GET', '/v1/me')).status).toBe(403)
    await enable()
    expect((await as('sue', 'GET', '/v1/me')).body).toMatchObject({ permissions: ['pam_vaults.view'], owner: false })
  })

  test('come from their issuer: a person of the account by the same sub is another one, and addresses count for nothing', async () => {
    await enable()
    const { as: claimed } = peopleCalls(() => world)
    expect((await claimed('sue', {})).status).toBe(403)
    const authorization = `Bearer ${await vendor.token('mia', { email: 'mia@acme.example', email_verified: true })}`
    expect((await world.call(null, 'GET', '/v1/me', { headers: { authorization } })).status).toBe(403)
    const forged = `Bearer ${await world.issuer.token('sue', { iss: vendor.url })}`
    expect((await world.call(null, 'GET', '/v1/me', { headers: { authorization: forged } })).status).toBe(401)
  })

  test('hold leases of mode support, never longer than the window, and what they do is in its log', async () => {
    await enable({ expiresInDays: 1 })
    const identityId = await shared('held')
    await moveClock(86_400_000 - 600_000)
    const { status, body } = await checkout('sue', identityId)
    expect([status, body.lease.mode]).toEqual([201, 'support'])
    const [{ lasts }] = await row(
      `select extract(epoch from w.expires_at - l.expires_at)::int as lasts from support_access w, lease l where w.state = 'open' and l.id = $1`,
      [body.lease.id],
    )
    expect(lasts).toBe(0)
    expect((await logOf()).map(({ action }: { action: string }) => action)).toContain('lease.granted')
  })

  test('are in a log whose reasons are read by those who manage vaults or audit; why they were let in is read by all whom it is for', async () => {
    const { id: role } = (await world.post('mia', '/v1/roles', { name: `Gate ${randomUUID()}`, permissions: ['support_access.manage'] })).body
    const { id: keeper } = (await world.post('mia', '/v1/users', { sub: 'kit' })).body
    await world.post('mia', `/v1/roles/${role}/assignments`, { principal: { type: 'user', id: keeper } })
    await enable({ reason: 'Ticket 4713' })
    const { lease } = (await checkout('sue', await shared('told'))).body
    const reasons = async (sub: string) => {
      const { items } = (await world.call(sub, 'GET', `${path}/audit-log`)).body
      const reasonOf = (found: (event: { action: string; leaseId: string }) => boolean) => items.find(found)?.reason
      return [reasonOf(({ leaseId }) => leaseId === lease.id), reasonOf(({ action }) => action === 'support-access.enabled')]
    }
    expect(await reasons('kit')).toEqual([null, 'Ticket 4713'])
    expect(await reasons('axe')).toEqual(['Support', 'Ticket 4713'])
  })

  test('agree to nothing: an approval by one of them does not count, however they are named as approvers', async () => {
    await enable()
    const identityId = await world.addIdentity(`agreed ${randomUUID()}`)
    const approvers = [{ type: 'user', id: sue.idpUserId }]
    const policy = await world.post('mia', '/v1/approval-policies', { identityId, steps: [{ approvers: [...approvers, { type: 'permission' }] }] })
    expect(policy.status).toBe(201)
    const { accessRequest } = (await world.post('sam', `/v1/identities/${identityId}/checkout`, { reason: 'x', durationMinutes: 30 })).body
    const decided = await as('sue', 'POST', `/v1/access-requests/${accessRequest.id}/decisions`, { verdict: 'approve', version: accessRequest.version })
    expect([decided.status, decided.body.code]).toEqual([404, 'not-found'])
    const alone = await world.post('mia', '/v1/approval-policies', { identityId: await world.addIdentity(`alone ${randomUUID()}`), steps: [{ approvers }] })
    expect([alone.status, alone.body.code]).toEqual([422, 'quorum-unreachable'])
  })

  test('are in the report of who has access while they are let in, and through what', async () => {
    const { id: windowId } = await enable({ expiresInDays: 1 })
    const report = async () => {
      const { items } = (await world.call('mia', 'GET', `/v1/identity-groups/${world.vaultId}/access?limit=200`)).body
      return items.find(({ user }: { user: { id: string } }) => user.id === sue.id)
    }
    const { through, actions } = await report()
    expect([through.map(({ type }: { type: string }) => type), actions]).toEqual([['grant', 'support'], expect.arrayContaining(['vault.read'])])
    expect(through[1]).toMatchObject({ windowId, permissions: ['pam_vaults.view'] })
    await toggle({ enabled: false })
    expect((await report())?.actions ?? []).toEqual([])
  })

  test('have no approvals left from an earlier window', async () => {
    await enable()
    const identityId = await world.addIdentity(`agreed to ${randomUUID()}`)
    await world.post('mia', '/v1/approval-policies', { identityId, steps: [{ approvers: [{ type: 'permission' }] }] })
    const { id, version } = (await checkout('sue', identityId)).body.accessRequest
    expect((await world.post('mia', `/v1/access-requests/${id}/decisions`, { verdict: 'approve', version })).body.accessRequest.state).toBe('approved')
    await emergency()
    await enable()
    const late = await as('sue', 'POST', `/v1/identities/${identityId}/checkout`, { reason: 'Support', durationMinutes: 60, requestId: id })
    expect([late.status, late.body.code, late.body.state]).toEqual([409, 'access-request-closed', 'cancelled'])
  })

  test('lose what they hold when the window is closed', async () => {
    await enable()
    const { body } = await checkout('sue', await shared('lost'))
    await toggle({ enabled: false })
    expect(await row('select state, end_cause from lease where id = $1', [body.lease.id])).toEqual([{ state: 'ended', end_cause: 'revoked' }])
  })
})

describe('the end of a window', () => {
  test('is told and on record although nobody did anything, and Temporal is away', async () => {
    const { id } = await enable({ expiresInDays: 2 })
    await moveClock(2 * 86_400_000)
    expect((await as('sue', 'GET', '/v1/me')).status).toBe(403)
    expect((await world.call('ola', 'GET', path)).body).toMatchObject({ id, enabled: false })
    const pools = { expirer: world.database.as('leasehold_expirer'), worker: world.database.as('leasehold_worker') }
    const loop = startSupportExpirer({ ...pools, log: pino({ level: 'silent' }), onEnded: () => {} })
    await expect.poll(async () => (await world.call('ola', 'GET', path)).body.endCause, { timeout: 10_000 }).toBe('expired')
    await loop.stop()
    expect((await logOf()).filter((event: { action: string; detail: { windowId?: string } | null }) => event.detail?.windowId === id)[0]).toMatchObject({
      action: 'support-access.expired',
      actor: { kind: 'system' },
    })
    expect((await world.call('ola', 'GET', `/v1/notices?subjectId=${id}`)).body.items[0].kind).toBe('support_access.ended')
  })
})

describe('Emergency Disable', () => {
  test('is one click: no body, no stronger login, and once more changes nothing', async () => {
    const { id } = await enable()
    const weak = `Bearer ${await world.issuer.token('ola', { acr: 'pwd' })}`
    const click = () => world.call(null, 'POST', `${path}/emergency-disable`, { body: {}, headers: { authorization: weak } })
    expect((await click()).body).toMatchObject({ id, enabled: false, endCause: 'emergency' })
    expect((await click()).body).toMatchObject({ id, enabled: false, endCause: 'emergency' })
    const [notice] = (await world.call('ola', 'GET', `/v1/notices?subjectId=${id}`)).body.items
    expect(notice).toMatchObject({ kind: 'support_access.emergency_disabled', severity: 'critical' })
    expect(told).toContain(notice.id)
  })

  test('ends what began before it also when its process dies and the window is opened again', async () => {
    await enable()
    const { lease } = (await checkout('sue', await shared('revived'))).body
    const ola = UserId.parse(acme.users.find(({ sub }) => sub === 'ola')?.id)
    await inAccount(world.database.as('leasehold_api', 1), acme.id as AccountId, (trx) =>
      disableSupportAccess(trx, { userId: ola, actor: { kind: 'user', id: ola }, cause: 'emergency' }),
    )
    await enable({ reason: 'All clear' })
    const loop = startAccessReview({
      queue: world.database.as('leasehold_relay'),
      worker: world.database.as('leasehold_worker'),
      expirer: world.database.as('leasehold_expirer'),
      log: pino({ level: 'silent' }),
      onEnded: () => {},
    })
    const ended = () => row('select state, end_cause from lease where id = $1', [lease.id])
    await expect.poll(ended, { timeout: 15_000 }).toEqual([{ state: 'ended', end_cause: 'emergency' }])
    await loop.stop()
  })

  test('is on record with its reason where no window is open too', async () => {
    const { status, body } = await emergency({ reason: 'Stolen laptop 4714' })
    expect([status, body.enabled]).toEqual([200, false])
    await emergency()
    const [bare, event] = await logOf()
    expect([event.action, event.outcome, event.reason]).toEqual(['support-access.emergency-disabled', 'not-enabled', 'Stolen laptop 4714'])
    expect([bare.outcome, bare.reason, bare.detail]).toEqual(['not-enabled', null, null])
    expect((await world.call('axe', 'GET', `/v1/audit/events?action=${event.action}&limit=2`)).body.items[1].reason).toBe('Stolen laptop 4714')
    expect(JSON.stringify(await row('select e::text as text from audit_event e where id = $1', [event.id]))).not.toContain('4714')
  })

  test('works while the key store is away; the reason is what is lost then', async () => {
    await enable()
    await world.openBao(false)
    const { status, body } = await emergency({ reason: 'Stolen laptop' })
    await world.openBao(true)
    expect([status, body.enabled, body.endCause]).toEqual([200, false, 'emergency'])
  })

  test('during 100 support checkouts: none begins after its commit, and all that began are ended within 5 s', async () => {
    const people = [sue, ...(await Promise.all(['sid', 'sol', 'sam-of-vendor', 'stu'].map(addSupporter)))]
    const identities = await Promise.all(Array.from({ length: 20 }, (_, index) => shared(`crowd ${index}`)))
    const { id } = await enable()
    const statuses: number[] = []
    let enough = () => {}
    const underWay = new Promise<void>((resolve) => {
      enough = resolve
    })
    const crowd = Array.from({ length: 25 }, async (_, lane) => {
      for (let turn = 0; turn < 4; turn += 1) {
        const { status } = await checkout(people[lane % people.length]?.sub ?? '', identities[(lane + 5 * turn) % identities.length] ?? '')
        if (statuses.push(status) === 25) enough()
      }
    })
    await underWay
    const answer = await emergency({ reason: 'The vendor was broken into' })
    await Promise.all(crowd)
    expect([answer.status, answer.body.enabled]).toEqual([200, false])
    const [facts] = await row(
      `select count(*)::int as leases, count(*) filter (where l.state = 'active')::int as active, count(*) filter (where l.started_at > w.ended_at)::int as late,
        extract(epoch from max(l.ended_at) - max(w.ended_at))::float8 as seconds, array_agg(distinct l.end_cause) as causes
      from support_access w join lease l on l.mode = 'support' and l.started_at >= w.enabled_at where w.id = $1`,
      [id],
    )
    expect(facts).toMatchObject({ active: 0, late: 0, causes: ['emergency'] })
    expect(facts.leases).toBeGreaterThanOrEqual(25)
    expect(facts.leases).toBe(statuses.filter((status) => status === 201).length)
    expect(facts.seconds).toBeLessThan(5)
    expect(statuses.filter((status) => status === 403).length).toBeGreaterThan(0)
    expect((await checkout('sue', identities[0] ?? '')).status).toBe(403)
    console.log(`emergency: ${facts.leases} leases of 100 checkouts, all ended ${facts.seconds.toFixed(2)} s after the commit`)
  }, 120_000)
})

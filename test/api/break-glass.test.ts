import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { acme } from '#stack/people.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
beforeAll(async () => {
  world = await createApiWorld()
  for (const sub of ['sam', 'mia', 'ola']) expect((await enrol(sub)).status).toBe(200)
})
afterAll(() => world?.end())

const passphraseOf = (sub: string) => `seven quiet herons of ${sub}`
const enrol = (sub: string, passphrase = passphraseOf(sub)) => world.call(sub, 'PUT', '/v1/me/break-glass-credential', { body: { passphrase } })
const said = { reason: 'INC-2042', justification: 'The on-call approver does not answer.' }
const breakGlass = (sub: string, identityId: string, body: object = {}, headers: Record<string, string> = {}) =>
  world.post(sub, `/v1/identities/${identityId}/break-glass`, { ...said, breakGlassCredential: passphraseOf(sub), ...body }, headers)
const checkout = (sub: string, identityId: string) => world.post(sub, `/v1/identities/${identityId}/checkout`, { reason: 'a test', durationMinutes: 30 })
const idOf = (sub: string) => acme.users.find((user) => user.sub === sub)?.id
/** Uses and tries of a minute or a quarter of an hour ago no longer count. */
const forget = async () => {
  await world.database.superuser(`update lease set started_at = started_at - interval '2 minutes' where mode = 'break_glass'`)
  await world.database.superuser(`delete from break_glass_attempt`)
}
const notices = async (kind: string) =>
  (
    await world.database.superuser(
      `select n.severity, n.subject_id as "subjectId", n.facts, array(select u.sub from notice_recipient r join account_user u on u.id = r.user_id where r.notice_id = n.id order by 1) as told
        from notice n where n.kind = $1 order by n.id`,
      [kind],
    )
  ).rows
const events = async (leaseId: string) =>
  (await world.call('mia', 'GET', `/v1/audit/events?leaseId=${leaseId}`)).body.items as {
    action: string
    outcome: string
    breakGlass: boolean
    reason: string
  }[]

describe('a break-glass checkout', () => {
  test('answers the lease and the value at once, on record, told to every admin, and open for review', async () => {
    await forget()
    const id = await world.addIdentity('orders')
    const { status, body, headers } = await breakGlass('sam', id)
    expect(status).toBe(201)
    expect(body).toMatchObject({
      lease: { mode: 'break_glass', state: 'active', identityId: id, reason: said.reason, durationMinutes: 60 },
      beyondLimit: false,
      credential: { username: 'orders', value: 'password of orders', label: 'current', version: 1 },
      alsoPossible: [],
    })
    expect(headers.get('cache-control')).toBe('no-store')
    const { id: leaseId } = body.lease
    expect(await events(leaseId)).toMatchObject([{ action: 'lease.granted', outcome: 'success', breakGlass: true, reason: said.reason }])
    const told = (await notices('break_glass.opened')).filter(({ subjectId }) => subjectId === leaseId)
    expect(told).toMatchObject([{ severity: 'critical', told: ['mia', 'ola'], facts: { userId: idOf('sam'), identityId: id, beyondLimit: false } }])
    const review = await world.call('ola', 'GET', `/v1/break-glass-reviews/${leaseId}`)
    expect(review.body).toMatchObject({ state: 'open', user: { id: idOf('sam') }, ...said, lease: { state: 'active' }, finding: null })
  })

  test('needs neither a grant nor a record in the directory, but the permission', async () => {
    await forget()
    const { body: role } = await world.post('mia', '/v1/roles', { name: 'Emergency', permissions: ['pam_vaults.break_glass'] })
    const { body: user } = await world.post('mia', '/v1/users', { sub: 'rex' })
    await world.post('mia', `/v1/roles/${role.id}/assignments`, { principal: { type: 'user', id: user.id } })
    const id = await world.addIdentity('ungranted')
    expect((await enrol('rex')).status).toBe(200)
    const { status, body } = await breakGlass('rex', id)
    expect([status, body.credential?.value]).toEqual([201, 'password of ungranted'])
    const again = await world.post('rex', `/v1/leases/${body.lease.id}/credential`)
    expect([again.status, again.body]).toEqual([200, { username: 'ungranted', value: 'password of ungranted' }])
    expect((await world.post('rex', `/v1/leases/${body.lease.id}/checkin`)).body.lease.endCause).toBe('checked_in')
    const denied = await breakGlass('vic', id)
    expect([denied.status, denied.body.missing]).toEqual([403, 'pam_vaults.break_glass'])
  })

  test('takes a slot beyond a lease that somebody else holds, and says so', async () => {
    await forget()
    const id = await world.addIdentity('held', { hostIds: [world.hostId] })
    const held = await checkout('mia', id)
    const { status, body } = await breakGlass('sam', id)
    expect([status, body.beyondLimit, body.credential.value]).toEqual([201, true, 'password of held'])
    expect((await world.call('mia', 'GET', `/v1/leases/${held.body.lease.id}`)).body.state).toBe('active')
    expect((await checkout('ola', id)).body.code).not.toBe(undefined)
    const active = await world.call('mia', 'GET', '/v1/leases?mode=break_glass&state=active')
    expect(active.body.items.map((lease: { id: string }) => lease.id)).toContain(body.lease.id)
  })

  test('shows nothing of what is never shown, and is rotated away all the same', async () => {
    await forget()
    const id = await world.addIdentity('injected', { exposure: 'inject_only', hostIds: [world.hostId] })
    const { status, body } = await breakGlass('sam', id)
    expect([status, body.credential, body.alsoPossible]).toEqual([201, null, []])
    expect((await world.post('sam', `/v1/leases/${body.lease.id}/credential`)).body.code).toBe('inject-only')
    expect((await world.post('sam', `/v1/leases/${body.lease.id}/checkin`)).body.lease.rotationId).not.toBeNull()
  })

  test('lasts as long as its organization allows, not longer, and no extension gets past that', async () => {
    await forget()
    const organization = `/v1/organizations/${world.organizationId}`
    expect((await world.call('mia', 'PATCH', organization, { body: { breakGlassMaximumMinutes: 20 } })).status).toBe(200)
    const id = await world.addIdentity('short')
    const tooLong = await breakGlass('sam', id, { durationMinutes: 21 })
    expect([tooLong.status, tooLong.body.errors]).toEqual([422, [{ path: 'durationMinutes', message: expect.stringContaining('at most 20') }]])
    const { body } = await breakGlass('sam', id, { durationMinutes: 10 })
    const { startedAt, expiresAt } = body.lease
    expect(Date.parse(expiresAt) - Date.parse(startedAt)).toBe(10 * 60_000)
    const { body: extended } = await world.post('sam', `/v1/leases/${body.lease.id}/extend`, { minutes: 60 })
    expect(Date.parse(extended.lease.expiresAt) - Date.parse(startedAt)).toBe(20 * 60_000)
    for (const breakGlassMaximumMinutes of [4, 1441]) {
      expect((await world.call('mia', 'PATCH', organization, { body: { breakGlassMaximumMinutes } })).status).toBe(422)
    }
    await world.call('mia', 'PATCH', organization, { body: { breakGlassMaximumMinutes: 60 } })
  })

  test('goes on while Temporal has been silent for an hour, when a standard checkout does not', async () => {
    await forget()
    const id = await world.addIdentity('silent')
    await world.database.superuser(`update relay_state set last_temporal_call_at = now() - interval '1 hour'`)
    expect((await checkout('sam', id)).status).toBe(503)
    expect((await breakGlass('sam', id)).status).toBe(201)
    await world.database.superuser(`update relay_state set last_temporal_call_at = now()`)
  })

  test('ends what is overdue by itself, so that the slot is a free one', async () => {
    await forget()
    const id = await world.addIdentity('overdue')
    const held = (await checkout('mia', id)).body.lease.id
    await world.database.superuser(`update lease set started_at = now() - interval '2 hours', expires_at = now() - interval '1 hour' where id = $1`, [held])
    expect((await breakGlass('sam', id)).body.beyondLimit).toBe(false)
    expect((await world.call('mia', 'GET', `/v1/leases/${held}`)).body).toMatchObject({ state: 'ended', endCause: 'expired' })
  })

  test('wants a justification that says something, and knows no other fields', async () => {
    const id = await world.addIdentity('strict')
    for (const body of [{ justification: 'too short' }, { justification: ' '.repeat(20) }, { justification: 'x'.repeat(501) }, { reason: '' }, { more: 1 }]) {
      expect((await breakGlass('sam', id, body)).status).toBe(422)
    }
    expect((await breakGlass('sam', id, { hostId: world.hostId })).body.errors).toEqual([{ path: 'hostId', message: 'must be a host of this identity' }])
  })

  test('says 503 when no key can be had, and leaves nothing behind', async () => {
    await forget()
    const id = await world.addIdentity('sealed')
    await world.openBao(false)
    const { status, body } = await breakGlass('sam', id)
    await world.openBao(true)
    expect([status, body.role]).toEqual([503, 'openbao'])
    expect((await world.database.superuser('select from lease where identity_id = $1', [id])).rowCount).toBe(0)
  })
})

describe('a repeated break-glass checkout', () => {
  test('with the same key answers the same lease and value, on record, and is no further use', async () => {
    await forget()
    const id = await world.addIdentity('repeated')
    const headers = { 'idempotency-key': randomUUID() }
    const first = await breakGlass('sam', id, {}, headers)
    for (let turn = 0; turn < 3; turn += 1) {
      const again = await breakGlass('sam', id, {}, headers)
      expect([again.status, again.body, again.headers.get('idempotent-replayed')]).toEqual([201, first.body, 'true'])
    }
    expect((await breakGlass('sam', await world.addIdentity('another'))).status).toBe(201)
    expect((await breakGlass('sam', id, { reason: 'another' }, headers)).body.code).toBe('idempotency-key-reused')
    expect((await breakGlass('sam', id, { breakGlassCredential: 'of somebody else, wrong' }, headers)).status).toBe(401)
  })
})

describe('the limit of break-glass', () => {
  test('is three in any minute, whoever of them comes at once, and says when the next may', async () => {
    await forget()
    const ids = await Promise.all(Array.from({ length: 4 }, (_, index) => world.addIdentity(`crowd ${index}`)))
    const answers = await Promise.all(Array.from({ length: 20 }, (_, index) => breakGlass('sam', ids[index % 4] as string)))
    expect(answers.map(({ status }) => status).filter((status) => status === 201)).toHaveLength(3)
    expect(new Set(answers.filter(({ status }) => status !== 201).map(({ body }) => body.code))).toEqual(new Set(['break-glass-rate-limited']))
    const late = await breakGlass('sam', ids[0] as string)
    expect(late.status).toBe(429)
    const wait = Number(late.headers.get('retry-after'))
    expect(wait).toBeGreaterThan(30)
    expect(wait).toBeLessThanOrEqual(60)
    const { body: log } = await world.call('axe', 'GET', `/v1/audit/events?action=identity.break-glass&effect=deny&identityId=${ids[0]}`)
    expect(log.items[0]).toMatchObject({ outcome: 'break-glass-rate-limited', actor: { sub: 'sam' } })
  })

  test('holds for the whole organization: another person is the fourth too', async () => {
    const { status, body } = await breakGlass('ola', await world.addIdentity('fourth'))
    expect([status, body.code]).toEqual([429, 'break-glass-rate-limited'])
    // A minute after the first three, and not before.
    await world.database.superuser(
      `update lease set started_at = now() - interval '40 seconds' where mode = 'break_glass' and started_at > now() - interval '60 seconds'`,
    )
    expect((await breakGlass('ola', await world.addIdentity('early'))).status).toBe(429)
    await world.database.superuser(
      `update lease set started_at = now() - interval '60 seconds' where mode = 'break_glass' and started_at > now() - interval '60 seconds'`,
    )
    expect((await breakGlass('ola', await world.addIdentity('later'))).status).toBe(201)
  })
})

describe('a wrong break-glass credential', () => {
  test('is refused and on record; the admins hear of the third, and after the fifth nobody looks any more', async () => {
    await forget()
    const id = await world.addIdentity('guarded')
    const before = (await notices('break_glass.credential_refused')).length
    const guess = () => breakGlass('sam', id, { breakGlassCredential: 'a guess of a passphrase' })
    for (let turn = 1; turn <= 5; turn += 1) {
      const { status, body } = await guess()
      expect([status, body.code]).toEqual([401, 'break-glass-credential-refused'])
      expect((await notices('break_glass.credential_refused')).length - before).toBe(turn < 3 ? 0 : 1)
    }
    expect((await notices('break_glass.credential_refused')).at(-1)).toMatchObject({ severity: 'critical', told: ['mia', 'ola'], subjectId: idOf('sam') })
    for (const answer of [await guess(), await breakGlass('sam', id)]) {
      expect([answer.status, answer.body.code]).toEqual([429, 'break-glass-rate-limited'])
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(800)
    }
    expect((await breakGlass('ola', id)).status).toBe(201)
    const { body: log } = await world.call('axe', 'GET', `/v1/audit/events?action=break_glass_credential.refused&identityId=${id}`)
    expect(log.items).toHaveLength(5)
    expect(log.items[0]).toMatchObject({ effect: 'deny', breakGlass: true })
    await world.database.superuser(`update break_glass_attempt set attempted_at = attempted_at - interval '15 minutes'`)
    expect((await breakGlass('sam', id)).status).toBe(201)
  })

  test('is not guessed at by many at once: 40 together are 5', async () => {
    await forget()
    const id = await world.addIdentity('stormed')
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, index) => breakGlass('sam', id, { breakGlassCredential: `a guess of a passphrase ${index}` })),
    )
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(5)
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(35)
  })

  test('that nobody wrote a verdict about counts for a minute, and no longer', async () => {
    await forget()
    const id = await world.addIdentity('undecided')
    const pending = (age: string) =>
      world.database.superuser(
        `insert into break_glass_attempt (account_id, user_id, attempted_at) select $1::uuid, $2::uuid, now() - $3::interval from generate_series(1, 5)`,
        [acme.id, idOf('sam'), age],
      )
    await pending('40 seconds')
    expect((await breakGlass('sam', id)).status).toBe(429)
    await world.database.superuser('delete from break_glass_attempt')
    await pending('61 seconds')
    expect((await breakGlass('sam', id)).status).toBe(201)
  })
})

describe('a review', () => {
  test('stays open until an admin other than the user signs it, with a finding, after the use', async () => {
    await forget()
    const id = await world.addIdentity('reviewed')
    const leaseId = (await breakGlass('ola', id)).body.lease.id
    const sign = (sub: string, body: object = { finding: 'Justified by the outage.' }) => world.post(sub, `/v1/break-glass-reviews/${leaseId}/sign`, body)
    expect((await sign('mia')).body.code).toBe('break-glass-in-use')
    await world.post('ola', `/v1/leases/${leaseId}/checkin`)
    const own = await sign('ola')
    expect([own.status, own.body.missing]).toEqual([403, 'another person: nobody reviews a use of their own'])
    expect((await sign('sam')).status).toBe(404)
    expect((await sign('axe')).status).toBe(403)
    expect((await sign('mia', { finding: 'short' })).status).toBe(422)
    const open = async () => (await world.call('axe', 'GET', '/v1/break-glass-reviews?state=open')).body.items.map((item: { id: string }) => item.id)
    expect(await open()).toContain(leaseId)
    const signed = await sign('mia')
    expect([signed.status, signed.body]).toEqual([
      200,
      expect.objectContaining({ state: 'signed', finding: 'Justified by the outage.', signedBy: { id: idOf('mia'), name: 'Mia Owner' } }),
    ])
    expect((await sign('mia')).body.code).toBe('break-glass-review-signed')
    expect(await open()).not.toContain(leaseId)
    const [last] = await events(leaseId)
    expect(last).toMatchObject({ action: 'break_glass_review.signed', reason: 'Justified by the outage.', breakGlass: true })
  })

  test('is read by managers, auditors and the user, and by nobody else', async () => {
    await forget()
    const leaseId = (await breakGlass('sam', await world.addIdentity('read'))).body.lease.id
    const statuses = await Promise.all(
      ['mia', 'ola', 'axe', 'sam', 'vic'].map(async (sub) => (await world.call(sub, 'GET', `/v1/break-glass-reviews/${leaseId}`)).status),
    )
    expect(statuses).toEqual([200, 200, 200, 200, 404])
    expect((await world.call('gus', 'GET', `/v1/break-glass-reviews/${leaseId}`)).status).toBe(404)
  })
})

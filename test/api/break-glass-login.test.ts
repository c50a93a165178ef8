import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { codeOf } from '#secrets/totp.ts'
import { fromBase32 } from '../support/base32.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
let identity: string
let seed: Buffer
const passphrase = 'seven quiet herons of ola'
beforeAll(async () => {
  world = await createApiWorld()
  identity = await world.addIdentity('orders')
  expect((await world.call('ola', 'PUT', '/v1/me/break-glass-credential', { body: { passphrase } })).status).toBe(200)
  const { status, body } = await world.call('ola', 'PUT', '/v1/me/break-glass-totp')
  expect([status, body.uri]).toEqual([200, expect.stringContaining(`secret=${body.secret}`)])
  seed = fromBase32(body.secret)
})
afterAll(() => world?.end())
/** A code counts once: a moment later there is another one. */
beforeEach(async () => {
  await world.database.superuser('update break_glass_totp set last_step = 0')
  await world.database.superuser('delete from break_glass_attempt')
})

const code = (ago = 0) => codeOf(seed, Date.now() - ago)
const logIn = (more: object = {}) =>
  world.call(null, 'POST', '/v1/break-glass/login', { body: { user: 'ola', breakGlassCredential: passphrase, code: code(), ...more } })
const allow = (breakGlassWithoutProvider: boolean) =>
  world.call('mia', 'PATCH', `/v1/organizations/${world.organizationId}`, { body: { breakGlassWithoutProvider } })
/** Uses of a minute ago no longer count. */
const later = () => world.database.superuser(`update lease set started_at = started_at - interval '2 minutes' where mode = 'break_glass'`)
const confirm = (given: string) => world.post('ola', '/v1/me/break-glass-totp/confirm', { code: given })

test('codes are those of RFC 6238', () => {
  const rfc = Buffer.from('12345678901234567890')
  expect([59, 1_111_111_109, 1_234_567_890, 20_000_000_000].map((seconds) => codeOf(rfc, seconds * 1_000))).toEqual(['287082', '081804', '005924', '353130'])
})

describe('a login for break-glass without the provider', () => {
  test('takes no code of a seed that nobody has confirmed', async () => {
    await allow(true)
    expect((await logIn()).status).toBe(401)
    expect((await confirm('000000')).status).toBe(401)
    expect((await confirm(code())).status).toBe(204)
  })

  test('is refused where no organization allows it, which is how it begins', async () => {
    expect((await world.call('mia', 'GET', `/v1/organizations/${(await world.post('mia', '/v1/organizations', { name: 'new' })).body.id}`)).body).toMatchObject(
      {
        breakGlassWithoutProvider: false,
      },
    )
    await allow(false)
    const { status, body } = await logIn()
    expect([status, body.code]).toEqual([401, 'break-glass-credential-refused'])
    await allow(true)
  })

  test('with passphrase and code gives a token that does break-glass and nothing else, told to every admin', async () => {
    const { status, body } = await logIn()
    expect([status, body.tokenType, body.expiresIn]).toEqual([200, 'Bearer', 900])
    const headers = { authorization: `Bearer ${body.accessToken}` }
    const use = await world.call(null, 'POST', `/v1/identities/${identity}/break-glass`, {
      headers,
      body: { reason: 'INC-2042', justification: 'The provider is down and so are we.', breakGlassCredential: passphrase },
    })
    expect([use.status, use.body.credential?.value, use.body.lease?.holder.name]).toEqual([201, 'password of orders', 'Ola Admin'])
    const { id } = use.body.lease
    expect((await world.call(null, 'POST', `/v1/leases/${id}/credential`, { headers, body: {} })).status).toBe(200)
    for (const [method, path, sent] of [
      ['GET', '/v1/me', undefined],
      ['GET', '/v1/identities', undefined],
      ['GET', `/v1/leases/${id}`, undefined],
      ['POST', `/v1/identities/${identity}/checkout`, { reason: 'x', durationMinutes: 5 }],
      ['POST', `/v1/identities/${identity}/reveal`, {}],
      ['PUT', '/v1/me/break-glass-credential', { passphrase: 'another one of somebody else' }],
      ['PUT', '/v1/me/break-glass-totp', undefined],
      ['POST', `/v1/organizations`, { name: 'mine' }],
    ] as const) {
      const answer = await world.call(null, method, path, { headers, ...(sent === undefined ? {} : { body: sent }) })
      expect([path, answer.status, answer.body.missing]).toEqual([path, 403, 'a login at the identity provider'])
    }
    expect((await world.call(null, 'POST', `/v1/leases/${id}/checkin`, { headers, body: {} })).body.lease.endCause).toBe('checked_in')
    const { rows } = await world.database.superuser(`select severity from notice where kind = 'break_glass.logged_in'`)
    expect(rows).toEqual([{ severity: 'critical' }])
  })

  test('takes a code once, one of a minute ago not at all, and nobody who shows only one of both', async () => {
    const once = code()
    expect((await logIn({ code: once })).status).toBe(200)
    expect((await logIn({ code: once })).status).toBe(401)
    expect((await logIn({ code: code(90_000) })).status).toBe(401)
    await world.database.superuser('update break_glass_totp set last_step = 0')
    expect((await logIn({ breakGlassCredential: 'a guess of a passphrase' })).status).toBe(401)
    expect((await logIn({ user: 'nobody' })).status).toBe(401)
    expect((await logIn({ user: 'sam' })).status).toBe(401)
  })

  test('is guessed at five times in 15 minutes, which keeps nobody from break-glass who has logged in', async () => {
    for (let turn = 0; turn < 5; turn += 1) expect((await logIn({ breakGlassCredential: `guess ${turn}` })).status).toBe(401)
    // The right one is answered like any other: a stranger must not learn who there is.
    expect((await logIn()).status).toBe(401)
    const answer = await world.post('ola', `/v1/identities/${identity}/break-glass`, {
      reason: 'x',
      justification: 'a stranger tried my name before',
      breakGlassCredential: passphrase,
    })
    expect(answer.status).toBe(201)
    await world.post('ola', `/v1/leases/${answer.body.lease.id}/checkin`)
  })

  test('does nothing with a lease of an organization that does not allow it, nor once it has thought better of it', async () => {
    const strict = (await world.post('mia', '/v1/organizations', { name: 'strict' })).body.id
    await world.call('mia', 'PUT', `/v1/organizations/${strict}/secret`, { body: {} })
    const identityGroupId = (await world.post('mia', '/v1/identity-groups', { organizationId: strict, name: 'strict' })).body.id
    const take = async (id: string) => {
      const body = { reason: 'x', justification: 'taken while the provider was there', breakGlassCredential: passphrase }
      return (await world.post('ola', `/v1/identities/${id}/break-glass`, body)).body.lease.id as string
    }
    await later()
    const [mine, theirs] = [await take(await world.addIdentity('allowed')), await take(await world.addIdentity('not allowed', { identityGroupId }))]
    const headers = { authorization: `Bearer ${(await logIn()).body.accessToken}` }
    const may = async (lease: string) => {
      const calls = [
        ['credential', {}],
        ['extend', { minutes: 5 }],
      ] as const
      return Promise.all(calls.map(async ([verb, body]) => (await world.call(null, 'POST', `/v1/leases/${lease}/${verb}`, { headers, body })).status))
    }
    expect([await may(mine), await may(theirs)]).toEqual([
      [200, 200],
      [403, 403],
    ])
    await allow(false)
    expect(await may(mine)).toEqual([403, 403])
    await allow(true)
    for (const lease of [mine, theirs]) await world.post('ola', `/v1/leases/${lease}/checkin`)
    await later()
  })

  test('does not tell whether the passphrase is right while codes cannot be checked', async () => {
    await world.openBao(false)
    const answers = [await logIn(), await logIn({ breakGlassCredential: 'a guess of a passphrase' })]
    await world.openBao(true)
    expect(answers.map(({ status }) => status)).toEqual([503, 503])
  })

  test('of somebody whom no organization lets in so is not even tried', async () => {
    await allow(false)
    for (let turn = 0; turn < 6; turn += 1) expect((await logIn({ breakGlassCredential: `guess ${turn}` })).status).toBe(401)
    expect((await world.database.superuser('select from break_glass_attempt')).rowCount).toBe(0)
    await allow(true)
  })

  test('is over for whoever has lost the permission, and where the organization has thought better of it', async () => {
    const { accessToken } = (await logIn()).body
    const headers = { authorization: `Bearer ${accessToken}` }
    const body = { reason: 'x', justification: 'still allowed a moment ago', breakGlassCredential: passphrase }
    await allow(false)
    expect((await world.call(null, 'POST', `/v1/identities/${identity}/break-glass`, { headers, body })).status).toBe(403)
    await allow(true)
    await world.database.superuser(`update account_user set state = 'disabled' where sub = 'ola'`)
    expect((await world.call(null, 'POST', `/v1/identities/${identity}/break-glass`, { headers, body })).status).toBe(403)
    expect((await logIn()).status).toBe(401)
  })

  test('works with the provider gone, and its tokens are no others’', async () => {
    await world.database.superuser(`update account_user set state = 'active' where sub = 'ola'`)
    const { accessToken } = (await logIn()).body
    const [header, payload, signature] = accessToken.split('.')
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
    const forged = [header, Buffer.from(JSON.stringify({ ...claims, sub: 'mia' })).toString('base64url'), signature].join('.')
    expect((await world.call(null, 'GET', '/v1/me', { headers: { authorization: `Bearer ${forged}` } })).status).toBe(401)
    await world.issuer.stop()
    expect((await logIn({ code: code(-30_000) })).status).toBe(200)
  })
})

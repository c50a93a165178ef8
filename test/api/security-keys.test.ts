import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { acme } from '#stack/people.ts'
import { createSoftKey, type SoftKey } from '../support/soft-key.ts'
import { apiUrl, startApi } from './support.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
beforeAll(async () => {
  world = await createApiWorld()
})
afterAll(() => world?.end())
/** Nobody has enrolled anything; uses and tries of before no longer count. */
beforeEach(async () => {
  await world.database.superuser('delete from break_glass_attempt')
  await world.database.superuser('delete from break_glass_credential')
  await world.database.superuser(`update lease set started_at = started_at - interval '2 minutes' where mode = 'break_glass'`)
})

const mine = '/v1/me/break-glass-credential'
const idOf = (sub: string) => acme.users.find((user) => user.sub === sub)?.id ?? expect.unreachable()
const challengeToEnrol = async (sub: string) => (await world.post(sub, `${mine}/security-keys/challenge`)).body.publicKey
const challengeFor = async (sub: string, identityId: string): Promise<string> =>
  (await world.post(sub, `${mine}/challenge`, { identityId })).body.publicKey.challenge
const enrolWith = (sub: string, credential: object, name = 'on my key ring') => world.post(sub, `${mine}/security-keys`, { name, credential })
async function enrolled(sub: string): Promise<SoftKey & { readonly enrolledAs: string }> {
  const key = createSoftKey()
  const { status, body } = await enrolWith(sub, key.register((await challengeToEnrol(sub)).challenge, apiUrl))
  expect(status).toBe(201)
  return { ...key, enrolledAs: body.id }
}
const breakGlass = (sub: string, identityId: string, breakGlassCredential: unknown, headers = {}) =>
  world.post(sub, `/v1/identities/${identityId}/break-glass`, { reason: 'x', justification: 'nobody can be asked', breakGlassCredential }, headers)
const refused = { status: 401, body: { code: 'break-glass-credential-refused' } }

describe('a security key', () => {
  test('is enrolled by its person after a fresh login, breaks the glass, and says in the list when it last did', async () => {
    const options = await challengeToEnrol('sam')
    expect(options).toMatchObject({
      rp: { id: 'leasehold.example' },
      user: { id: Buffer.from(idOf('sam')).toString('base64url') },
      authenticatorSelection: { userVerification: 'required' },
      attestation: 'none',
      excludeCredentials: [],
    })
    const key = createSoftKey()
    const { status, body } = await enrolWith('sam', key.register(options.challenge, apiUrl))
    expect([status, body]).toEqual([201, { id: expect.any(String), name: 'on my key ring', enrolledAt: expect.any(String), lastUsedAt: null }])
    const id = await world.addIdentity('signed for')
    const asked = (await world.post('sam', `${mine}/challenge`, { identityId: id })).body.publicKey
    expect(asked).toMatchObject({
      rpId: 'leasehold.example',
      userVerification: 'required',
      allowCredentials: [{ id: key.id.toString('base64url'), transports: ['usb'] }],
    })
    const use = await breakGlass('sam', id, key.sign(asked.challenge, apiUrl))
    expect([use.status, use.body.credential.value]).toEqual([201, 'password of signed for'])
    const listed = (await world.call('sam', 'GET', mine)).body
    expect(listed).toEqual({ enrolled: false, enrolledAt: null, securityKeys: [{ ...body, lastUsedAt: expect.any(String) }] })
    const { items } = (await world.call('mia', 'GET', `/v1/audit/events?leaseId=${use.body.lease.id}`)).body
    expect(items).toMatchObject([{ action: 'lease.granted', breakGlass: true, detail: { credential: 'security_key' } }])
    expect((await challengeToEnrol('sam')).excludeCredentials).toHaveLength(1)
  })

  test('is as good as a passphrase, which stays beside it', async () => {
    const key = await enrolled('mia')
    await world.call('mia', 'PUT', mine, { body: { passphrase: 'seven quiet herons of mia' } })
    const id = await world.addIdentity('either')
    expect((await breakGlass('mia', id, 'seven quiet herons of mia')).status).toBe(201)
    expect((await breakGlass('mia', id, key.sign(await challengeFor('mia', id), apiUrl))).status).toBe(201)
  })

  test('signs a challenge once, for its person and for the identity that it was made for, and while it is fresh', async () => {
    const key = await enrolled('sam')
    const [id, other] = [await world.addIdentity('once'), await world.addIdentity('another')]
    const challenge = await challengeFor('sam', id)
    expect(await breakGlass('sam', other, key.sign(challenge, apiUrl))).toMatchObject(refused)
    expect((await breakGlass('sam', id, key.sign(challenge, apiUrl))).status).toBe(201)
    expect(await breakGlass('sam', id, key.sign(challenge, apiUrl))).toMatchObject(refused)
    expect(await breakGlass('sam', id, key.sign(await challengeFor('mia', id), apiUrl))).toMatchObject(refused)
    const late = await challengeFor('sam', id)
    await world.database.superuser(`update security_key_challenge set expires_at = expires_at - interval '5 minutes'`)
    expect(await breakGlass('sam', id, key.sign(late, apiUrl))).toMatchObject(refused)
  })

  test('may come with a statement about its maker, which nobody reads: certificates in it name addresses that would be dialled', async () => {
    const key = createSoftKey()
    const { challenge } = await challengeToEnrol('sam')
    expect((await enrolWith('sam', key.register(challenge, apiUrl, { format: 'android-key' }))).status).toBe(201)
    const id = await world.addIdentity('stated')
    expect((await breakGlass('sam', id, key.sign(await challengeFor('sam', id), apiUrl))).status).toBe(201)
  })

  test('signs one challenge in many calls at once: one of them goes through', async () => {
    const key = await enrolled('sam')
    const id = await world.addIdentity('at once')
    const challenge = await challengeFor('sam', id)
    const answers = await Promise.all([1, 2, 3, 4].map(() => breakGlass('sam', id, key.sign(challenge, apiUrl))))
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 401, 401, 401])
  })

  test('is refused where anything else about its signature is wrong, and each time counts as a wrong passphrase does', async () => {
    const key = await enrolled('sam')
    const id = await world.addIdentity('forged')
    const wrong: readonly ((challenge: string) => unknown)[] = [
      (challenge) => key.sign(challenge, 'https://leasehold.example.evil.example'),
      (challenge) => key.sign(challenge, apiUrl, { rpId: 'evil.example' }),
      // Somebody was there, and nobody checked who.
      (challenge) => key.sign(challenge, apiUrl, { flags: 0x01 }),
      (challenge) => ({ ...createSoftKey().sign(challenge, apiUrl), id: key.id.toString('base64url'), rawId: key.id.toString('base64url') }),
      () => key.sign(randomBytes(32).toString('base64url'), apiUrl),
    ]
    for (const forge of wrong) expect(await breakGlass('sam', id, forge(await challengeFor('sam', id)))).toMatchObject(refused)
    const limited = await breakGlass('sam', id, key.sign(await challengeFor('sam', id), apiUrl))
    expect([limited.status, limited.body.code]).toEqual([429, 'break-glass-rate-limited'])
  })

  test('is refused once a copy of it has signed more often', async () => {
    const key = await enrolled('sam')
    const id = await world.addIdentity('copied')
    expect((await breakGlass('sam', id, key.sign(await challengeFor('sam', id), apiUrl, { count: 40 }))).status).toBe(201)
    expect(await breakGlass('sam', id, key.sign(await challengeFor('sam', id), apiUrl, { count: 40 }))).toMatchObject(refused)
  })

  test('is refused where a copy signs at the same instant', async () => {
    const key = await enrolled('sam')
    const [one, two] = [await world.addIdentity('copied one'), await world.addIdentity('copied two')]
    const signed = [key.sign(await challengeFor('sam', one), apiUrl, { count: 40 }), key.sign(await challengeFor('sam', two), apiUrl, { count: 40 })]
    const answers = await Promise.all([breakGlass('sam', one, signed[0]), breakGlass('sam', two, signed[1])])
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 401])
  })

  test('makes a retry with the same Idempotency-Key the same use, signed anew', async () => {
    const key = await enrolled('sam')
    const id = await world.addIdentity('retried')
    const headers = { 'idempotency-key': 'a-retry-with-a-key' }
    const first = await breakGlass('sam', id, key.sign(await challengeFor('sam', id), apiUrl), headers)
    const again = await breakGlass('sam', id, key.sign(await challengeFor('sam', id), apiUrl), headers)
    expect([again.status, again.body.lease.id, again.headers.get('idempotent-replayed')]).toEqual([201, first.body.lease.id, 'true'])
  })

  test("of somebody else is nobody else's, nor is it enrolled twice", async () => {
    const key = await enrolled('mia')
    const id = await world.addIdentity('not yours')
    const borrowed = await breakGlass('sam', id, key.sign(await challengeFor('sam', id), apiUrl))
    expect(borrowed).toMatchObject({ ...refused, body: { detail: 'You have not enrolled this security key' } })
    const twice = await enrolWith('sam', key.register((await challengeToEnrol('sam')).challenge, apiUrl))
    expect([twice.status, twice.body.code]).toEqual([409, 'already-exists'])
  })

  test('is enrolled with a challenge for that alone, at the right origin, and with a fresh login only', async () => {
    const id = await world.addIdentity('enrolment')
    const key = createSoftKey()
    expect(await enrolWith('ola', key.register(await challengeFor('ola', id), apiUrl))).toMatchObject(refused)
    expect(await enrolWith('ola', key.register((await challengeToEnrol('mia')).challenge, apiUrl))).toMatchObject(refused)
    expect(await enrolWith('ola', key.register((await challengeToEnrol('ola')).challenge, 'https://evil.example'))).toMatchObject(refused)
    expect(await enrolWith('ola', key.register((await challengeToEnrol('ola')).challenge, apiUrl, { flags: 0x01 }))).toMatchObject(refused)
    const odd = key.register('AA', apiUrl)
    const unclean = await enrolWith('ola', { ...odd, response: { ...odd.response, transports: ['a\u0000b'] } })
    expect([unclean.status, unclean.body.code]).toEqual([422, 'validation-failed'])
    const authorization = `Bearer ${await world.issuer.token('ola', { auth_time: Math.floor(Date.now() / 1_000) - 301 })}`
    for (const [method, path] of [
      ['POST', `${mine}/security-keys/challenge`],
      ['POST', `${mine}/security-keys`],
      ['DELETE', `${mine}/security-keys/${crypto.randomUUID()}`],
    ] as const) {
      const body = path.endsWith('keys') ? { name: 'x', credential: key.register('AA', apiUrl) } : {}
      const stale = await world.call(null, method, path, { body, headers: { authorization } })
      expect([stale.status, stale.body.code]).toEqual([401, 'insufficient-user-authentication'])
    }
  })

  test('is removed by its person, or with everything else by an administrator, who can enrol none; its person hears of all of it', async () => {
    const told = async () =>
      (
        await world.database.superuser(
          `select count(*)::int as times from notice n join notice_recipient r on r.notice_id = n.id where n.kind = 'break_glass.credential_changed' and r.user_id = $1`,
          [idOf('ola')],
        )
      ).rows[0].times
    const before = await told()
    const [one, two] = [await enrolled('ola'), await enrolled('ola')]
    await world.call('ola', 'PUT', mine, { body: { passphrase: 'seven quiet herons of ola' } })
    const id = await world.addIdentity('removed')
    const remove = (sub: string) => world.call(sub, 'DELETE', `${mine}/security-keys/${one.enrolledAs}`)
    expect((await remove('mia')).status).toBe(404)
    expect((await remove('ola')).status).toBe(204)
    expect((await remove('ola')).status).toBe(404)
    expect(await breakGlass('ola', id, one.sign(await challengeFor('ola', id), apiUrl))).toMatchObject(refused)
    expect((await world.call('mia', 'DELETE', `/v1/users/${idOf('ola')}/break-glass-credential`)).status).toBe(204)
    expect((await world.call('ola', 'GET', mine)).body).toEqual({ enrolled: false, enrolledAt: null, securityKeys: [] })
    expect(await breakGlass('ola', id, two.sign(await challengeFor('ola', id), apiUrl))).toMatchObject(refused)
    expect(await breakGlass('ola', id, 'seven quiet herons of ola')).toMatchObject(refused)
    expect(await told()).toBe(before + 5)
    // What was taken away may be enrolled anew.
    expect((await enrolWith('ola', one.register((await challengeToEnrol('ola')).challenge, apiUrl))).status).toBe(201)
  })

  test('is one of 5, and a person has at most 10 challenges', async () => {
    const { body: user } = await world.post('mia', '/v1/users', { sub: 'kay' })
    const { body: role } = await world.post('mia', '/v1/roles', { name: 'Of many keys', permissions: ['pam_vaults.break_glass'] })
    await world.post('mia', `/v1/roles/${role.id}/assignments`, { principal: { type: 'user', id: user.id } })
    for (let count = 0; count < 5; count += 1) await enrolled('kay')
    const sixth = await enrolWith('kay', createSoftKey().register((await challengeToEnrol('kay')).challenge, apiUrl))
    expect([sixth.status, sixth.body.errors[0].path]).toEqual([422, 'credential'])
    const id = await world.addIdentity('asked for often')
    for (let count = 0; count < 15; count += 1) await challengeFor('kay', id)
    const { rows } = await world.database.superuser('select count(*)::int as kept from security_key_challenge where user_id = $1', [user.id])
    expect(rows).toEqual([{ kept: 10 }])
  })

  test('needs a domain: an installation that has only an address says so', async () => {
    const bare = await startApi(world.database, {}, { apiUrl: 'http://127.0.0.1:8443' })
    const path = `${mine}/security-keys/challenge`
    const { status, body } = await bare.call('sam', 'POST', path)
    expect([status, body.code]).toEqual([409, 'security-keys-unavailable'])
    await bare.stop()
    const named = await startApi(
      world.database,
      {},
      { apiUrl: 'https://api.corp.example', corsOrigins: ['https://console.corp.example'], webauthnRpId: 'corp.example' },
    )
    const { publicKey } = (await named.call('sam', 'POST', path)).body
    expect(publicKey.rp.id).toBe('corp.example')
    const credential = createSoftKey().register(publicKey.challenge, 'https://console.corp.example', { rpId: 'corp.example' })
    expect((await named.call('sam', 'POST', `${mine}/security-keys`, { body: { name: 'x', credential } })).status).toBe(201)
    await named.stop()
  })
})

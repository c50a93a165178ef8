import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { acme } from '#stack/people.ts'
import { createProofKey, type ProofKey } from './issuer.ts'
import { apiUrl, startApi, type Answer, type TestApi } from './support.ts'
import { createApiWorld, type ApiWorld } from './world.ts'

let world: ApiWorld
let identity: string
beforeAll(async () => {
  world = await createApiWorld()
})
afterAll(() => world?.end())
beforeEach(async () => {
  identity = await world.addIdentity(`app ${randomUUID()}`)
})

const allowAll = `@id("all") permit (principal, action, resource);`
const create = (policies: string) => world.post('ola', '/v1/policy-sets', { policies })
async function enforce(policies: string): Promise<void> {
  const { body, status } = await create(policies)
  expect([status, body.errors]).toEqual([201, undefined])
  expect((await world.post('ola', `/v1/policy-sets/${body.id}/activate`)).status).toBe(200)
}
const onIdentity = (obligations: string) =>
  `${allowAll} @id("limited") ${obligations} permit (principal, action in [Action::"use"], resource == Identity::"${identity}");`
const checkout = (headers: Record<string, string> = {}) =>
  world.post('sam', `/v1/identities/${identity}/checkout`, { reason: 'deploy 42', durationMinutes: 30 }, headers)

interface Bound {
  readonly token: string
  readonly key: ProofKey
}
async function bind(sub: string, key?: ProofKey, claims: Record<string, unknown> = {}): Promise<Bound> {
  const own = key ?? (await createProofKey())
  return { key: own, token: await world.issuer.token(sub, { cnf: { jkt: own.jkt }, ...claims }) }
}
async function reveal({ token, key }: Bound, api: Pick<TestApi, 'call'> = world): Promise<Answer> {
  const path = `/v1/identities/${identity}/reveal`
  return api.call(null, 'POST', path, { body: {}, headers: { authorization: `DPoP ${token}`, dpop: await key.proof(token, 'POST', apiUrl + path) } })
}
const outcome = ({ status, body }: Answer): string => `${status} ${body?.code ?? ''}`.trim()

describe('policies of an account', () => {
  test('are versions that decide nothing until one is activated, on record, and another account keeps its own', async () => {
    const { body } = await create(`${allowAll} @id("no-reveal") forbid (principal, action == Action::"identity.reveal", resource);`)
    expect(body).toMatchObject({ inForce: false, activatedAt: null })
    const show = () => world.post('sam', `/v1/identities/${identity}/reveal`, {})
    expect((await show()).status).toBe(200)
    expect((await world.post('ola', `/v1/policy-sets/${body.id}/activate`)).body.inForce).toBe(true)
    const refused = await show()
    expect([refused.status, refused.body.policies, refused.body.missing]).toEqual([403, ['no-reveal'], 'a policy that permits it'])
    const { items } = (await world.call('axe', 'GET', '/v1/audit/events?action=identity.reveal')).body
    expect(items.at(0)).toMatchObject({ effect: 'deny', outcome: 'forbidden', decisionId: expect.stringMatching(/^[0-9a-f-]{36}$/) })
    expect((await world.call('axe', 'GET', '/v1/audit/events?action=policy_set.activated')).body.items).toMatchObject([{ actor: { sub: 'ola' } }])
    expect((await world.call('gus', 'GET', '/v1/policy-sets')).body.items).toEqual([])
    expect((await world.call('gus', 'GET', `/v1/policy-sets/${body.id}`)).status).toBe(404)
    await enforce(allowAll)
    expect((await show()).status).toBe(200)
  })

  test('that are wrong are refused with what is wrong with each', async () => {
    const { status, body } = await create('@id("bad") permit (principal, action == Action::"identity.explode", resource);')
    expect([status, body.code, body.errors[0].path]).toEqual([422, 'validation-failed', 'bad'])
  })

  test('that would keep whoever activates them from activating others are refused', async () => {
    const { body } = await create(`permit (principal, action in [Action::"read"], resource);`)
    const refused = await world.post('ola', `/v1/policy-sets/${body.id}/activate`)
    expect([refused.status, refused.body.errors[0].path]).toEqual([422, 'policies'])
  })

  test('lock owners out of nothing that they could not undo', async () => {
    const ola = acme.users.find((user) => user.sub === 'ola')?.id
    const { body } = await create(`permit (principal == User::"${ola}", action, resource);`)
    expect((await world.post('ola', `/v1/policy-sets/${body.id}/activate`)).status).toBe(200)
    expect((await world.call('mia', 'GET', '/v1/me')).status).toBe(403)
    const { status, body: mended } = await world.post('mia', '/v1/policy-sets', { policies: allowAll })
    expect([status, (await world.post('mia', `/v1/policy-sets/${mended.id}/activate`)).status]).toEqual([201, 200])
    expect((await world.call('mia', 'GET', '/v1/me')).status).toBe(200)
  })

  test('judge a move on both sides, however it is asked for, and what is refused is on record', async () => {
    const target = (await world.post('mia', '/v1/identity-groups', { organizationId: world.organizationId, name: `target ${randomUUID()}` })).body.id
    const ways = [
      () => world.post('mia', `/v1/identities/${identity}/move`, { identityGroupId: target }),
      () => world.call('mia', 'PATCH', `/v1/identities/${identity}`, { body: { identityGroupId: target } }),
    ]
    for (const side of [world.vaultId, target]) {
      await enforce(`${allowAll} @id("stay") forbid (principal, action == Action::"identity.move", resource in Vault::"${side}");`)
      for (const way of ways) expect([side, (await way()).body.policies]).toEqual([side, ['stay']])
    }
    await enforce(allowAll)
    const { items } = (await world.call('axe', 'GET', `/v1/audit/events?identityId=${identity}`)).body
    expect(items.filter((item: { effect: string }) => item.effect === 'deny')).toHaveLength(4)
    expect((await ways[0]?.())?.status).toBe(200)
  })

  test('judge an address whatever way it is written, and one that is none is not known', async () => {
    await enforce(`@id("inside") permit (principal, action, resource) unless { context has ip && !context.ip.isInRange(ip("10.0.0.0/8")) };`)
    const from = async (address: string) => {
      const authorization = `Bearer ${await world.issuer.token('sam')}`
      const answer = await world.app.request('/v1/me', { headers: { authorization } }, {
        incoming: { rawHeaders: [], socket: { remoteAddress: address } },
      } as never)
      return answer.status
    }
    expect([
      await from('10.1.2.3'),
      await from('::ffff:10.1.2.3'),
      await from('192.0.2.1'),
      await from('::ffff:192.0.2.1'),
      await from('fe80::1%eth0'),
    ]).toEqual([200, 200, 403, 403, 403])
    await enforce(allowAll)
  })

  test('do not give what permissions and grants do not, and owners are held to them', async () => {
    await enforce(`${allowAll} @id("nobody") forbid (principal, action in [Action::"use"], resource == Identity::"${identity}");`)
    expect((await world.post('vic', `/v1/identities/${identity}/reveal`, {})).body.missing).toBe('vault access: view_credentials')
    expect((await world.post('mia', `/v1/identities/${identity}/reveal`, {})).body.policies).toEqual(['nobody'])
  })

  test('are tried without doing anything: the answer names what decided', async () => {
    const sam = acme.users.find((user) => user.sub === 'sam')?.id
    const ask = (question: Record<string, unknown>) =>
      world.post('ola', '/v1/policy-dry-runs', { userId: sam, action: 'identity.checkout', identityId: identity, ...question })
    expect((await ask({})).body).toMatchObject({ decision: 'permit', decidedBy: 'policy' })
    const policies = `${allowAll} @id("short") @obligation_max_uses("2") permit (principal, action, resource) when { context has minutes && context.minutes <= 10 };
      @id("far") forbid (principal, action, resource) when { context has ip && !context.ip.isInRange(ip("10.0.0.0/8")) };`
    expect((await ask({ policies, minutes: 10 })).body).toMatchObject({
      decision: 'permit',
      policies: expect.arrayContaining(['all', 'short']),
      obligations: [{ type: 'max_uses', value: '2' }],
    })
    expect((await ask({ policies, ip: '192.0.2.1' })).body).toMatchObject({ decision: 'deny', policies: ['far'] })
    expect((await ask({ action: 'vault.delete', policies })).body).toMatchObject({ decision: 'deny', decidedBy: 'permission', missing: 'pam_vaults.manage' })
    const vic = acme.users.find((user) => user.sub === 'vic')?.id
    expect((await ask({ userId: vic })).body).toMatchObject({ decision: 'deny', decidedBy: 'grant' })
    expect((await ask({ action: 'nothing' })).status).toBe(422)
    expect((await ask({ identityId: randomUUID() })).status).toBe(404)
    expect((await world.call('ola', 'GET', `/v1/leases?identityId=${identity}`)).body.items).toEqual([])
  })
})

describe('an obligation', () => {
  test('ttl_seconds ends the lease with the decision', async () => {
    await enforce(onIdentity('@obligation_ttl_seconds("600")'))
    const { lease } = (await checkout()).body
    const minutes = (new Date(lease.expiresAt).getTime() - new Date(lease.startedAt).getTime()) / 60_000
    expect(minutes).toBeGreaterThan(9.9)
    expect(minutes).toBeLessThanOrEqual(10)
    const extended = (await world.post('sam', `/v1/leases/${lease.id}/extend`, { minutes: 60 })).body.lease
    expect((new Date(extended.expiresAt).getTime() - Date.now()) / 60_000).toBeLessThan(10.1)
  })

  test('step_up asks for the login that the policy names, and the same call passes after it', async () => {
    await enforce(onIdentity('@obligation_step_up("mfa")'))
    const login = async (acr: string) => ({ authorization: `Bearer ${await world.issuer.token('sam', { acr })}`, 'idempotency-key': `step-${identity}` })
    const refused = await checkout(await login('pwd'))
    expect([refused.status, refused.body.code, refused.body.acrValues]).toEqual([401, 'insufficient-user-authentication', 'mfa'])
    expect((await checkout(await login('mfa'))).status).toBe(201)
  })

  test('max_uses counts exactly over replicas: of 1,000 at once five are answered, and after a new login five more', async () => {
    await enforce(onIdentity('@obligation_max_uses("5")'))
    const replicas = [
      world,
      ...(await Promise.all([1, 2, 3].map(() => startApi(world.database, { ...world.parts, db: world.database.as('leasehold_api', 8) })))),
    ]
    const loggedInAt = Math.floor(Date.now() / 1_000) - 10
    const sam = await bind('sam', undefined, { auth_time: loggedInAt })
    const use = async (bound: Bound, count: number) => {
      const answers = await Promise.all(Array.from({ length: count }, (_, index) => reveal(bound, replicas[index % replicas.length])))
      return Object.fromEntries([...Map.groupBy(answers.map(outcome), (name) => name)].map(([name, all]) => [name, all.length]))
    }
    // On a busy machine some are turned away before the lock, or at one behind it: those give their use back, for whoever asks next.
    const useAll = async (bound: Bound) => {
      for (let all = 0; ;) {
        const { 200: shown = 0, '403 uses-exhausted': exhausted = 0 } = await use(bound, 20)
        all += shown
        if (exhausted === 20) return all
      }
    }
    const crowd = await use(sam, 1_000)
    const refused = Object.entries(crowd).filter(([name]) => name === '403 uses-exhausted' || name.startsWith('503 '))
    const answered = crowd['200'] ?? 0
    expect(answered + refused.reduce((sum, [, count]) => sum + count, 0)).toBe(1_000)
    // A fresh token of the same login is no login: only what was given back is left.
    expect(answered + (await useAll(await bind('sam', sam.key, { auth_time: loggedInAt })))).toBe(5)
    expect(await useAll(await bind('sam', sam.key, { auth_time: loggedInAt + 1 }))).toBe(5)
    const { rows } = await world.database.superuser(`select count(*)::int as shown from exposure where identity_id = $1`, [identity])
    expect(rows).toEqual([{ shown: 10 }])
    await Promise.all(replicas.slice(1).map((replica) => replica.stop()))
  }, 120_000)

  test('max_uses is not spent on what was refused', async () => {
    await enforce(onIdentity('@obligation_max_uses("1")'))
    const held = await world.post('mia', `/v1/identities/${identity}/checkout`, { reason: 'first', durationMinutes: 5 })
    const sam = await bind('sam')
    expect(outcome(await reveal(sam))).toBe('409 identity-checked-out')
    expect((await world.post('mia', `/v1/leases/${held.body.lease.id}/checkin`)).status).toBe(200)
    expect([outcome(await reveal(sam)), outcome(await reveal(sam))]).toEqual(['200', '403 uses-exhausted'])
  })

  test('holds for the key that it was given to: another key is denied and on record, the first holder goes on', async () => {
    await enforce(onIdentity('@obligation_max_uses("5") @obligation_ttl_seconds("300")'))
    const first = await bind('sam')
    expect(outcome(await reveal(first))).toBe('200')
    expect(outcome(await reveal(await bind('sam')))).toBe('403 binding-changed')
    const bearer = { authorization: `Bearer ${await world.issuer.token('sam')}` }
    expect(outcome(await world.post('sam', `/v1/identities/${identity}/reveal`, {}, bearer))).toBe('403 binding-changed')
    expect(outcome(await reveal(first))).toBe('200')
    const { items } = (await world.call('axe', 'GET', `/v1/audit/events?action=identity.reveal&identityId=${identity}`)).body
    expect(items.map((item: { outcome: string }) => item.outcome)).toEqual(['binding-changed', 'binding-changed'])
  })

  test('max_uses counts a token that is bound to no key once', async () => {
    await enforce(onIdentity('@obligation_max_uses("3")'))
    const use = async (token: string) => outcome(await world.post('sam', `/v1/identities/${identity}/reveal`, {}, { authorization: `Bearer ${token}` }))
    const [one, two] = [await world.issuer.token('sam'), await world.issuer.token('sam')]
    expect([await use(one), await use(one), await use(two), await use(two)]).toEqual(['200', '403 token-used-before', '200', '403 token-used-before'])
  })
})

import { describe, expect, test } from 'vitest'
import { createCedarDecisionPoint, decideOnce } from '#policy/cedar.ts'
import { readPolicies, type Policies } from '#policy/cedar-policies.ts'
import { baselinePolicies } from '#policy/cedar-schema.ts'
import { strictest } from '#policy/obligations.ts'
import { rules } from '#policy/rules.ts'
import type { AccessContext, AccessQuestion } from '#schemas/decision.ts'
import { AccountId, UserId } from '#schemas/ids.ts'

const id = (number: number): string => `00000000-0000-7000-8000-${String(number).padStart(12, '0')}`
const accountId = AccountId.parse(id(9))
const acrOrder = ['pwd', 'mfa']

function question(action = 'identity.checkout', context: Partial<AccessContext> = {}): AccessQuestion {
  return {
    subject: { type: 'user', id: UserId.parse(id(4)), properties: { owner: false, email: 'sam@acme.example', groupIds: [id(7)] } },
    action: { name: action },
    resource: {
      type: 'identity',
      id: id(1),
      parents: [
        { type: 'vault', id: id(2) },
        { type: 'organization', id: id(3) },
        { type: 'account', id: accountId },
      ],
    },
    context: { purpose: 'checkout', now: new Date('2027-01-31T09:00:00Z'), senderConstrained: true, ...context },
  }
}

function policies(text: string): Policies {
  const read = readPolicies(text, acrOrder)
  if ('faults' in read) throw new Error(JSON.stringify(read.faults))
  return read
}
const faults = (text: string) => {
  const read = readPolicies(text, acrOrder)
  return 'faults' in read ? read.faults : []
}
const decide = (text: string, ...asked: Parameters<typeof question>) => decideOnce(policies(text), question(...asked))

describe('policies', () => {
  test('of the baseline permit every action of the API', () => {
    for (const action of Object.keys(rules)) expect(decide(baselinePolicies, action)).toEqual({ permit: true, policies: ['baseline'], obligations: [] })
  })

  test('deny what none of them permits, and a forbid wins', () => {
    expect(decide(`@id("reads") permit (principal, action in [Action::"read"], resource);`)).toEqual({ permit: false, policies: [], obligations: [] })
    const night = `${baselinePolicies} @id("night") forbid (principal, action in [Action::"use"], resource) when { context.now.toTime() < duration("6h") };`
    expect(decide(night, 'identity.checkout', { now: new Date('2027-01-31T05:59:59Z') })).toEqual({ permit: false, policies: ['night'], obligations: [] })
    expect(decide(night, 'identity.checkout', { now: new Date('2027-01-31T06:00:00Z') }).permit).toBe(true)
  })

  test.each([
    ['the group', `principal in Group::"${id(7)}"`, ''],
    ['the vault', `principal, action, resource in Vault::"${id(2)}"`, 'whole'],
    ['the organization', `principal, action, resource in Organization::"${id(3)}"`, 'whole'],
    ['the account', `principal, action, resource in Account::"${accountId}"`, 'whole'],
    ['the identity', `principal, action, resource == Identity::"${id(1)}"`, 'whole'],
  ])('may name %s', (_, scope, whole) => {
    expect(decide(`permit (${scope}${whole === '' ? ', action, resource' : ''});`).permit).toBe(true)
    const other = (text: string) => text.replaceAll(/"[0-9a-f-]{36}"/g, `"${id(99)}"`)
    expect(decide(other(`permit (${scope}${whole === '' ? ', action, resource' : ''});`)).permit).toBe(false)
  })

  test('may judge the address, the login, the key and the duration; what is not known is not there', () => {
    const text = `permit (principal, action, resource) when { context has ip && context.ip.isInRange(ip("10.0.0.0/8")) && context has minutes && context.minutes <= 60
      && context.senderConstrained && context has acr && context.acr == "mfa" && context has loginAgeSeconds && context.loginAgeSeconds < 300 };`
    const good = { ip: '10.1.2.3', minutes: 60, acr: 'mfa', loginAgeSeconds: 10 }
    expect(decide(text, 'identity.checkout', good).permit).toBe(true)
    for (const bad of [{ ip: '11.1.2.3' }, { ip: undefined }, { minutes: 61 }, { acr: 'pwd' }, { loginAgeSeconds: 300 }, { senderConstrained: false }]) {
      expect([bad, decide(text, 'identity.checkout', { ...good, ...bad }).permit]).toEqual([bad, false])
    }
  })

  test('that cannot be evaluated deny, a forbid too', () => {
    const overflow = `${baselinePolicies} @id("broken") forbid (principal, action, resource) when { context has minutes && context.minutes * 9223372036854775807 > 1 };`
    expect(decide(overflow, 'identity.checkout', { minutes: 60 })).toEqual({ permit: false, policies: ['broken'], obligations: [] })
  })

  test.each([
    ['', 'must hold a policy'],
    ['permit (principal', 'unexpected end of input'],
    ['permit (principal == ?principal, action, resource);', 'must not hold templates'],
    ['permit (principal, action == Action::"identity.explode", resource);', 'unrecognized action'],
    ['permit (principal, action, resource) when { context.password == "x" };', 'password'],
    ['permit (principal, action, resource) when { context.minutes < 60 };', 'minutes'],
    ['@id("a") permit (principal, action, resource); @id("a") permit (principal, action, resource);', 'there twice'],
    ['@obligation_colour("red") permit (principal, action, resource);', 'obligation_colour'],
    ['@obligation_max_uses("0") permit (principal, action, resource);', 'cannot have'],
    ['@obligation_max_uses("many") permit (principal, action, resource);', 'cannot have'],
    ['@obligation_step_up("retina") permit (principal, action, resource);', 'cannot have'],
    ['@obligation_max_uses("5") forbid (principal, action, resource);', 'obliges to nothing'],
  ])('%j are refused: %s', (text, message) => {
    expect(
      faults(text)
        .map((fault) => fault.message)
        .join('; '),
    ).toContain(message)
  })
})

describe('obligations', () => {
  test('of all permits that count hold, the strictest value of each', () => {
    const { obligations } = decide(`@obligation_max_uses("5") @obligation_ttl_seconds("60") permit (principal, action, resource);
      @obligation_max_uses("3") @obligation_ttl_seconds("90") @obligation_step_up("pwd") permit (principal, action, resource);
      @obligation_step_up("mfa") @obligation_max_age("120") permit (principal, action, resource);
      @obligation_max_uses("1") permit (principal, action in [Action::"read"], resource);`)
    expect(strictest(obligations, acrOrder)).toEqual({ maxUses: 3, ttlSeconds: 60, login: { acr: 'mfa', maxAgeSeconds: 120 } })
  })
  test('that are not understood are a denial', () => {
    expect(
      strictest(
        [
          { type: 'max_uses', value: '5' },
          { type: 'colour', value: 'red' },
        ],
        acrOrder,
      ),
    ).toBeUndefined()
    expect(strictest([{ type: 'constructor', value: '5' }], acrOrder)).toBeUndefined()
    expect(strictest([{ type: 'max_uses', value: '-5' }], acrOrder)).toBeUndefined()
    expect(strictest([], acrOrder)).toEqual({ login: { acr: null, maxAgeSeconds: null } })
  })
})

describe('the decision point', () => {
  test('keeps the policies of many accounts apart, and follows each to its next version', async () => {
    const accounts = Array.from({ length: 12 }, (_, index) => AccountId.parse(id(10_000 + index)))
    const loads: string[] = []
    const point = createCedarDecisionPoint(
      async ({ accountId: account, version }) => {
        loads.push(`${account} ${version}`)
        return `@id("of-${account}-${version}") permit (principal, action, resource);`
      },
      acrOrder,
      4,
    )
    const ask = async (account: AccountId, version: number) => (await point.decide(question(), { accountId: account, version })).policies
    const all = (version: number) => Promise.all(accounts.map((account) => ask(account, version)))
    for (const version of [1, 2]) expect(await all(version)).toEqual(accounts.map((account) => [`of-${account}-${version}`]))
    const [first] = accounts
    if (first === undefined) return
    await Promise.all(Array.from({ length: 50 }, () => ask(first, 3)))
    expect(loads.filter((load) => load === `${first} 3`)).toHaveLength(1)
  })

  test('fails when the policies cannot be read, and works again when they can', async () => {
    let broken = true
    const point = createCedarDecisionPoint(async () => {
      if (broken) throw new Error('away')
      return baselinePolicies
    }, acrOrder)
    await expect(point.decide(question(), { accountId, version: 1 })).rejects.toThrow('away')
    broken = false
    expect((await point.decide(question(), { accountId, version: 1 })).permit).toBe(true)
  })
})

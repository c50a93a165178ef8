import { randomBytes, randomInt } from 'node:crypto'
import { allowedCharacters, passwordPresets, rulesOf, spaceOf, type PasswordPolicy, type PasswordRules } from '#schemas/password-policy.ts'
import type { CredentialType } from '#schemas/credential-form.ts'
import { Secret } from '#schemas/secret.ts'

/** Types whose values no target judges: over 180 bits, no symbol that a shell or a URL reads as its own. */
const plain = { length: 48, classes: ['lower', 'upper', 'digit'] } as const satisfies PasswordRules

/** Hosts of these adapters judge passwords like such a target. */
const presetOfAdapter: Readonly<Record<string, PasswordRules>> = { ...passwordPresets, ssh: passwordPresets.linux, mariadb: passwordPresets.mysql }

/**
 * What the values of an identity must look like: its own policy, else what the target of its hosts takes.
 *
 * @param adapters of its hosts, each once; for several, the strictest rules that all of them take
 * @throws RangeError for a stored policy that `PasswordPolicy` would refuse
 */
export function rulesFor(credentialType: CredentialType, policy: PasswordPolicy | null, adapters: readonly string[]): PasswordRules {
  if (policy !== null) {
    const rules = rulesOf(policy)
    if (rules === undefined) throw new RangeError('a stored policy names neither a preset nor length and classes')
    return rules
  }
  if (credentialType !== 'password') return plain
  const [only, ...others] = adapters
  if (only === undefined) return passwordPresets.postgres
  return (others.length === 0 ? presetOfAdapter[only] : undefined) ?? passwordPresets.ldap
}

/**
 * A password from the system's generator, without modulo bias: uniform over all strings that the rules allow. How many characters
 * of each class there are is drawn by the number of strings that have so many, then their places, then the characters; drawing
 * whole strings until one fits would take for ever where the minimums fill the length, and planting them would not be uniform.
 *
 * @throws RangeError for rules that nothing satisfies, which `PasswordPolicy` refuses
 */
export function generatePassword(rules: PasswordRules): Secret<string> {
  const { size, shares } = spaceOf(rules)
  if (size === 0n) throw new RangeError('nothing satisfies these rules')
  const sets = allowedCharacters(rules)
  let left = rules.length
  const characters = sets.flatMap((set, index) => {
    const taken = drawIndex(shares(index, left))
    left -= taken
    return Array.from({ length: taken }, () => set[randomInt(set.length)] as string)
  })
  return Secret.of(shuffled(characters).join(''))
}

/** An index, each as often as its weight says. */
function drawIndex(weights: readonly bigint[]): number {
  let rest = randomBelow(weights.reduce((sum, weight) => sum + weight, 0n))
  return weights.findIndex((weight) => {
    rest -= weight
    return rest < 0n
  })
}

/** Uniform over 0 to `limit - 1`: draws with as many bits as the limit has until one is below it, two draws on average at most. */
function randomBelow(limit: bigint): bigint {
  const bits = limit.toString(2).length
  for (;;) {
    const drawn = BigInt.asUintN(bits, BigInt(`0x${randomBytes(Math.ceil(bits / 8)).toString('hex')}`))
    if (drawn < limit) return drawn
  }
}

/** Fisher and Yates: every order equally often. */
function shuffled(characters: readonly string[]): string[] {
  const order = [...characters]
  for (let last = order.length - 1; last > 0; last -= 1) {
    const other = randomInt(last + 1)
    ;[order[last], order[other]] = [order[other] as string, order[last] as string]
  }
  return order
}

import { randomInt } from 'node:crypto'
import { allowedCharacters, type PasswordPolicy } from '#schemas/password-policy.ts'
import { Secret } from '#schemas/secret.ts'

/** What an identity without a policy of its own gets: over 180 bits, no symbol that a shell or a URL reads as its own. */
export const defaultPolicies: Readonly<Record<'password' | 'api_key' | 'other', PasswordPolicy>> = {
  password: { length: 32, classes: ['lower', 'upper', 'digit', 'symbol'], forbidden: '!#$%&()*/:;<=>?@[]^{|}' },
  api_key: { length: 48, classes: ['lower', 'upper', 'digit'] },
  other: { length: 32, classes: ['lower', 'upper', 'digit'] },
}

/**
 * A password from the system's generator, without modulo bias: uniform over all strings of the policy's characters that
 * hold every class at least once.
 *
 * @throws RangeError when the forbidden characters leave nothing of a class, which `PasswordPolicy` refuses
 */
export function generatePassword(policy: PasswordPolicy): Secret<string> {
  const sets = allowedCharacters(policy)
  if (sets.some((set) => set.length === 0)) throw new RangeError('the policy forbids every character of a class')
  const alphabet = sets.flat()
  // Drawing again until every class occurs keeps the distribution uniform; planting characters would not.
  for (;;) {
    const drawn = Array.from({ length: policy.length }, () => alphabet[randomInt(alphabet.length)] as string)
    if (sets.every((set) => drawn.some((character) => set.includes(character)))) return Secret.of(drawn.join(''))
  }
}

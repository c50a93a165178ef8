import type { Secret } from '#schemas/secret.ts'
import { passwordHash } from './envelope.ts'
import type { VaultKey } from './vault-keys.ts'

/** A value that must not come back, as its hash; one of an older key or of another vault was made with another key. */
export interface OldValue {
  readonly key: VaultKey
  readonly hash: Uint8Array
}

/** With 60 bits or more a value that was there before does not come by chance; one that always comes is a broken generator. */
const mostDraws = 20

/**
 * A value that is none of the old ones.
 *
 * @throws Error after 20 values that were all there before
 */
export function freshValue<T extends { readonly value: Secret<string> }>(draw: () => T, old: readonly OldValue[]): T {
  for (let drawn = 0; drawn < mostDraws; drawn += 1) {
    const candidate = draw()
    if (!old.some(({ key, hash }) => passwordHash(key, candidate.value).equals(hash))) return candidate
  }
  throw new Error('the generator only repeats itself')
}

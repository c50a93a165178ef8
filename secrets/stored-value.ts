import { LeaseholdError } from '#schemas/errors.ts'
import { legacyKeyId, type Sealed } from '#schemas/sealed.ts'
import type { Secret } from '#schemas/secret.ts'
import { open, type SealedFor } from './envelope.ts'
import { openLegacy, type LegacyKey } from './legacy-envelope.ts'
import type { VaultKey } from './vault-keys.ts'

export interface ValueKeys {
  /** The key that the row names; absent: it names none that there is. */
  readonly vault?: VaultKey | undefined
  /** Only while the organization is open for rows from before vault keys. */
  readonly legacy?: LegacyKey | undefined
}

/**
 * Opens a stored value of whatever encryption version. One of version 0 or 1 opens only while its organization is open for
 * such rows; otherwise it is what it looks like, a row that somebody put there.
 *
 * @throws LeaseholdError `decryption-failed`: never bytes that were not authenticated
 */
export function openStored({ vault, legacy }: ValueKeys, belongsTo: SealedFor, sealed: Sealed): Secret<string> {
  if (sealed.encryptionVersion === 2 && vault !== undefined) return open(vault, belongsTo, sealed)
  if (sealed.encryptionVersion !== 2 && legacy !== undefined && sealed.keyId === legacyKeyId) return openLegacy(legacy, sealed)
  throw new LeaseholdError('decryption-failed')
}

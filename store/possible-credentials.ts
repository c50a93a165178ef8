import { LeaseholdError } from '#schemas/errors.ts'
import type { HostId, LeaseId, UserId } from '#schemas/ids.ts'
import { possibleVersions, type PossibleVersion } from '#schemas/rules/break-glass.ts'
import type { Sealed } from '#schemas/sealed.ts'
import type { CheckoutFacts } from './checkout-facts.ts'
import type { Transaction } from './connection.ts'
import { exposureInsert } from './exposure.ts'
import type { OpenValue, ShownCredential } from './reveal.ts'

/** A value that may be the one that logs in. */
export interface PossibleCredential extends ShownCredential, PossibleVersion {}

/**
 * Shows everything that may log in to whoever holds the identity in an emergency, the likeliest first; nothing where values are
 * never shown. Each version counts as exposed all the same: what an emergency could use is rotated away after it, always.
 *
 * @param credentials every stored value, sealed
 * @throws LeaseholdError `decryption-failed`
 */
export async function showPossible(
  trx: Transaction,
  facts: CheckoutFacts,
  credentials: ReadonlyMap<number, Sealed>,
  to: { readonly hostId: HostId | null; readonly leaseId: LeaseId; readonly userId: UserId; readonly open: OpenValue },
): Promise<readonly PossibleCredential[]> {
  const { identityId, username } = facts
  const { hostId, leaseId, userId } = to
  const possible = possibleVersions(facts, hostId)
  const shown = facts.exposure === 'inject_only' ? [] : possible.map((one) => ({ ...one, username, value: openOne(facts, credentials, one.version, to.open) }))
  for (const { version } of possible) await exposureInsert({ identityId, hostId, version, userId, leaseId }).execute(trx)
  return shown
}

function openOne(facts: CheckoutFacts, credentials: ReadonlyMap<number, Sealed>, version: number, open: OpenValue) {
  const sealed = credentials.get(version)
  if (sealed === undefined) throw new LeaseholdError('decryption-failed')
  return open(facts, version, sealed)
}

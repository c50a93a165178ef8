import type { z } from 'zod'
import type { BreakGlassBody } from '#schemas/break-glass.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/ids.ts'
import { Secret } from '#schemas/secret.ts'
import { verifyAssertion, type TakeChallenge } from '#secrets/relying-party.ts'
import { beginAttempt, recordVerdict } from '#store/break-glass-attempt.ts'
import { findPassphrase } from '#store/break-glass-credential.ts'
import type { CheckoutFacts } from '#store/checkout-facts.ts'
import type { Transaction } from '#store/connection.ts'
import { findSecurityKey, recordSignature } from '#store/security-key.ts'
import { takeChallenge } from '#store/security-key-challenge.ts'
import type { Lanes } from './lanes.ts'
import type { Parts } from './parts.ts'
import type { RouteContext } from './route.ts'
import { requireRelyingParty } from './security-keys.ts'
import { emergencyTries, whenFree } from './when-free.ts'

export type BreakGlassContext = RouteContext<
  { id: IdentityId },
  unknown,
  z.infer<typeof BreakGlassBody>,
  { readonly facts: CheckoutFacts; readonly identityId: IdentityId }
>

/** What was sent, held against what the person has enrolled. */
interface Trial {
  readonly credentialId: string
  /** Undefined: it is not right. A security key says how often it has signed. */
  readonly judge: () => Promise<{ readonly signCount?: number } | undefined>
}

/** Finds what a passphrase or a signature is tried against; undefined: the person has enrolled no such thing. */
async function findTrial(
  trx: Transaction,
  { passphrases, config }: Parts,
  { principal, body, params, inAccount }: BreakGlassContext,
): Promise<Trial | undefined> {
  const { userId } = principal
  const sent = body.breakGlassCredential
  if (typeof sent === 'string') {
    const passphrase = await findPassphrase(trx, userId)
    return passphrase && { credentialId: passphrase.id, judge: async () => ((await passphrases.verify(Secret.of(sent), passphrase)) ? {} : undefined) }
  }
  const party = requireRelyingParty(config)
  const key = await findSecurityKey(trx, userId, Buffer.from(sent.id, 'base64url'))
  const take: TakeChallenge = (challenge) =>
    whenFree(emergencyTries, () => inAccount((own) => takeChallenge(own, challenge, { userId, identityId: params.id })))
  return (
    key && {
      credentialId: key.id,
      judge: async () => {
        const signCount = await verifyAssertion(party, sent, key, take)
        return signCount === undefined ? undefined : { signCount }
      },
    }
  )
}

/**
 * Holds the passphrase, or the signature of a security key, against what the caller enrolled: outside of any lock, and on record before
 * anybody knows how it goes.
 *
 * @returns id of the credential that it is
 * @throws LeaseholdError `break-glass-credential-refused`, `break-glass-rate-limited`, `security-keys-unavailable`
 */
export async function checkBreakGlassCredential(parts: Parts, context: BreakGlassContext, lanes: Lanes): Promise<string> {
  const { principal, actor, body, found, inAccount } = context
  const { userId } = principal
  const [attemptId, trial] = await lanes(userId, () =>
    whenFree(emergencyTries, () => inAccount(async (trx) => [await beginAttempt(trx, userId), await findTrial(trx, parts, context)] as const)),
  )
  // crash point: attempt written
  const proof = await trial?.judge()
  const { organizationId, vaultId, identityId } = found.facts
  const at = { organizationId, vaultId, identityId }
  const accepted = await whenFree(emergencyTries, () =>
    inAccount(async (trx) => {
      const counts =
        trial !== undefined && proof !== undefined && (proof.signCount === undefined || (await recordSignature(trx, trial.credentialId, proof.signCount)))
      await recordVerdict(trx, { attemptId, accepted: counts, userId, actor, at })
      return counts
    }),
  )
  if (trial !== undefined && accepted) return trial.credentialId
  parts.wakeLoops()
  const none = typeof body.breakGlassCredential === 'string' ? 'You have enrolled no break-glass passphrase' : 'You have not enrolled this security key'
  throw new LeaseholdError('break-glass-credential-refused', trial === undefined ? { detail: none } : {})
}

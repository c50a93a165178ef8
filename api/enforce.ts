import { createHash } from 'node:crypto'
import type { Resource } from '#policy/decide.ts'
import { strictest, type Obligations } from '#policy/obligations.ts'
import type { Action } from '#policy/rules.ts'
import type { Actor } from '#schemas/audit-event.ts'
import type { AccessDecision, AccessQuestion, AccessResource } from '#schemas/decision.ts'
import { errors, LeaseholdError } from '#schemas/errors.ts'
import type { AccountId, IdentityId } from '#schemas/ids.ts'
import type { Principal } from '#schemas/principal.ts'
import { runnerOf } from '#store/connection.ts'
import { refundUse, reserveUse, type ReservedUse, type UseRequest } from '#store/use-grant.ts'
import { bindingName, type AccessToken } from './access-token.ts'
import type { Caller } from './authenticate.ts'
import type { Parts } from './parts.ts'

type Place = Resource & { readonly identityId?: IdentityId }
type Circumstances = Omit<AccessQuestion['context'], 'purpose'>
interface Asked {
  readonly actor: Actor
  readonly token: Pick<AccessToken, 'acr' | 'authTime' | 'binding'>
}

/**
 * Asks the decision point about what permissions and grants permit. Everything but a clear yes is a no: no permit, an obligation
 * that is not understood, a decision point that fails.
 *
 * @throws LeaseholdError `forbidden` with the policies that it follows from
 */
export async function askPolicies({ decisionPoint, config, log }: Parts, principal: Principal, question: AccessQuestion): Promise<Obligations> {
  // No policy locks owners out of the policies: somebody must be able to put others in force.
  if (principal.owner && question.action.name.startsWith('policy.')) return { login: { acr: null, maxAgeSeconds: null } }
  const decision = await decisionPoint
    .decide(question, { accountId: principal.accountId, version: principal.policyVersion })
    .catch((error: unknown): AccessDecision => {
      log.error({ alarm: 'policy-decision-failed', account: principal.accountId, error: error instanceof Error ? error.message : 'unknown' }, 'no decision')
      return { permit: false, policies: [], obligations: [] }
    })
  const obligations = decision.permit ? strictest(decision.obligations, config.acrOrder) : undefined
  if (obligations === undefined) throw new LeaseholdError('forbidden', { missing: 'a policy that permits it', policies: decision.policies })
  return obligations
}

/** What a request says of itself, as policies see it. */
export function circumstancesOf({ token, actor }: Asked, asked: { readonly minutes?: number } = {}): Circumstances {
  const now = new Date()
  return {
    now,
    acr: token.acr,
    loginAgeSeconds: token.authTime === undefined ? undefined : Math.max(0, Math.floor(now.getTime() / 1_000) - token.authTime),
    senderConstrained: token.binding !== undefined,
    ip: actor.ip,
    ...asked,
  }
}

/** The question whether somebody may do something there, in these circumstances. */
export const questionOf = (principal: Principal, action: Action, place: Place, circumstances: Circumstances): AccessQuestion => ({
  subject: subjectOf(principal),
  action: { name: action },
  resource: resourceOf(principal.accountId, place),
  context: { purpose: action.slice(action.indexOf('.') + 1), ...circumstances },
})

const subjectOf = ({ userId, owner, email, groupIds }: Principal): AccessQuestion['subject'] => ({
  type: 'user',
  id: userId,
  properties: { owner, email, groupIds },
})

/** The most specific thing that is known of, in all that it lies in. */
function resourceOf(accountId: AccountId, { identityId, vaultId, organizationId }: Place): AccessResource {
  const places = [
    ...(identityId ? [{ type: 'identity' as const, id: identityId }] : []),
    ...(vaultId ? [{ type: 'vault' as const, id: vaultId }] : []),
    ...(organizationId ? [{ type: 'organization' as const, id: organizationId }] : []),
    { type: 'account' as const, id: accountId },
  ]
  const [first = { type: 'account' as const, id: accountId }, ...parents] = places
  return { ...first, parents }
}

/** A decision without a time of its own is as old as an access token can get, s. */
const longestDecision = 900

/**
 * Counts the use that a decision with obligations allows, runs `act`, and takes the use back when `act` refuses: a refusal by
 * rule is certain to have released nothing. After anything less certain the use stays counted.
 *
 * @param releases whether what `act` answers is a use; else the use is taken back as well
 * @throws LeaseholdError `uses-exhausted`, `token-used-before`, `binding-changed`, and what `act` throws
 */
export async function counting<T>(
  parts: Parts,
  { accountId, userId, token, actor }: Caller,
  { action, resource, policyVersion }: { readonly action: Action; readonly resource: AccessResource; readonly policyVersion: number | null },
  { ttlSeconds, maxUses }: Obligations,
  act: (reserved: ReservedUse | undefined, endsAt: Date | null) => Promise<T>,
  releases: (answer: T) => boolean,
): Promise<T> {
  if (ttlSeconds === undefined && maxUses === undefined) return act(undefined, null)
  const request: UseRequest = {
    userId,
    action,
    resourceId: resource.id,
    binding: bindingName(token),
    tokenDigest: createHash('sha256')
      .update(JSON.stringify([token.iss, token.jti]))
      .digest(),
    tokensCountOnce: parts.config.tokensCountOnce && maxUses !== undefined && token.binding === undefined,
    decisionId: actor.decisionId,
    policyVersion,
    loggedInAt: token.authTime === undefined ? null : new Date(token.authTime * 1_000),
    maxUses: maxUses ?? null,
    ttlSeconds: ttlSeconds ?? longestDecision,
  }
  const run = runnerOf(parts.db, accountId)
  const reserved = await run((trx) => reserveUse(trx, request))
  // crash point: use counted
  const refund = () => run((trx) => refundUse(trx, reserved, request)).catch(() => {})
  try {
    const answer = await act(reserved, ttlSeconds === undefined ? null : reserved.expiresAt)
    if (!releases(answer)) await refund()
    return answer
  } catch (error) {
    if (isRefusal(error)) await refund()
    throw error
  }
}

/** Decided against, or turned away at a lock: whatever was begun is undone. */
const isRefusal = (error: unknown): boolean => error instanceof LeaseholdError && (errors[error.code].status < 500 || error.code === 'busy')

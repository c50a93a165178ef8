import { setImmediate as breathe } from 'node:timers/promises'
import { decide } from '#policy/decide.ts'
import { LeaseholdError } from '#schemas/errors.ts'
import type { CampaignTargets } from '#store/start-rotation-campaign.ts'
import { authorize } from './authorize.ts'
import { askPolicies, circumstancesOf, questionOf } from './enforce.ts'
import type { Parts } from './parts.ts'
import type { RouteContext } from './route.ts'
import { requireLogin } from './step-up.ts'

type Asking = Pick<RouteContext<unknown, unknown, unknown, unknown>, 'principal' | 'actor' | 'token'>

/** Decisions in one turn of the event loop: others are served in between. */
const inOneTurn = 20

/**
 * Asks for each identity what rotating it alone would be asked for. A vault that the caller may not know of answers before one that
 * they may not manage, so that nobody learns by the answer that it is there.
 *
 * @throws LeaseholdError `not-found`, `forbidden`, `approval-required`, `insufficient-user-authentication`
 */
export async function requireRotations(
  parts: Parts,
  { principal, actor, token }: Asking,
  { organizationId, vaultIds, identities }: CampaignTargets,
): Promise<void> {
  const places = vaultIds.map((vaultId) => ({ organizationId, vaultId }))
  const decided = places.map((place) => ({ place, decision: decide(principal, 'identity.rotate', place) }))
  const denied = decided.filter(({ decision }) => !decision.permit)
  const [first] = denied.toSorted((one, other) => Number(isHidden(other)) - Number(isHidden(one)))
  if (first !== undefined)
    await authorize(parts.db, { accountId: principal.accountId, userId: principal.userId, actor, principal }, 'identity.rotate', first.place)
  for (const [index, { identityId, vaultId }] of identities.entries()) {
    const question = questionOf(principal, 'identity.rotate', { organizationId, vaultId, identityId }, circumstancesOf({ token, actor }))
    const { login, approvers = 0, maxUses } = await askPolicies(parts, principal, question)
    requireLogin(login, token, parts.config)
    if (approvers > 0) throw new LeaseholdError('approval-required')
    // Nobody counts the uses of a campaign, so what a policy counts is rotated one by one.
    if (maxUses !== undefined) throw new LeaseholdError('forbidden', { missing: 'a policy that does not count rotations' })
    if (index % inOneTurn === inOneTurn - 1) await breathe()
  }
}

const isHidden = ({ decision }: { readonly decision: ReturnType<typeof decide> }): boolean => !decision.permit && decision.code === 'not-found'

import type { ErrorCode } from '#schemas/errors.ts'
import type { OrganizationId, UserId, VaultId } from '#schemas/ids.ts'
import type { Principal } from '#schemas/principal.ts'
import { hasPermission, vaultAccess } from '#schemas/rules/access.ts'
import { rules, type Action, type Rule } from './rules.ts'
import { isEmpty, scopeOf } from './scope.ts'

/** What an action is done to, as far as the right to do it depends on it. */
export interface Resource {
  /** Null or absent: the account itself. */
  readonly organizationId?: OrganizationId | null
  readonly vaultId?: VaultId | null
  /** Who holds the lease, or made the request. */
  readonly holderId?: UserId
  /** It is done under a break-glass lease. */
  readonly emergency?: boolean
  /** That may be done by a login that did not go through the identity provider. */
  readonly withoutProvider?: boolean
  /** Who may decide on the request now; never who made it. */
  readonly approvers?: ReadonlySet<UserId>
}

export type Decision =
  | { readonly permit: true }
  | { readonly permit: false; readonly code: Extract<ErrorCode, 'forbidden' | 'not-found' | 'no-idp-user-mapping'>; readonly missing?: string }

const permitted: Decision = { permit: true }

/**
 * Whether `principal` may do `action` to `resource`. Pure; everything that has no rule is denied.
 * What the caller may not even see is `not-found`, so that foreign, hidden and absent answer alike.
 */
export function decide(principal: Principal, action: Action, resource: Resource): Decision {
  const rule = ruleOf(action)
  if (rule === undefined) return { permit: false, code: 'forbidden' }
  if (rule.collection) return isEmpty(scopeOf(principal, action)) ? denied(rule) : permitted
  const refusal = refuse(principal, rule, action, resource)
  if (refusal.permit || mayKnow(principal, rule, action, resource)) return refusal
  return { permit: false, code: 'not-found' }
}

function refuse(principal: Principal, rule: Rule, action: Action, resource: Resource): Decision {
  const holds = resource.holderId === principal.userId
  if (rule.holder === 'only' && !holds)
    return { permit: false, code: 'forbidden', missing: action.startsWith('lease.') ? 'to be the holder of the lease' : 'to be the requester' }
  if (rule.holder === 'instead' && holds) return permitted
  if (rule.emergency !== undefined && resource.emergency === true)
    return hasPermission(principal, rule.emergency, resource.organizationId ?? null) ? permitted : { permit: false, code: 'forbidden', missing: rule.emergency }
  const approves = resource.approvers?.has(principal.userId) === true
  if (rule.approver === 'only' && !approves) return { permit: false, code: 'forbidden', missing: roleOf(action) }
  if (rule.approver === 'instead' && approves) return permitted
  if (!hasAny(principal, rule, resource)) return denied(rule)
  if (rule.mapping && principal.idpUserId === null && !principal.owner) return { permit: false, code: 'no-idp-user-mapping' }
  if (rule.andGrant !== undefined && !hasGrant(principal, resource, rule.andGrant)) {
    return { permit: false, code: 'forbidden', missing: `vault access: ${rule.andGrant}` }
  }
  return permitted
}

/** Who decides about it. */
const roleOf = (action: string): string =>
  action.startsWith('recertification.') ? 'to be a reviewer of this recertification' : 'to be an approver of this request, and not who made it'

function hasAny(principal: Principal, rule: Rule, resource: Resource): boolean {
  if (rule.anyOf === undefined) return true
  if (rule.anyOf.some((name) => hasPermission(principal, name, resource.organizationId ?? null))) return true
  return rule.orGrant !== undefined && hasGrant(principal, resource, rule.orGrant)
}

function hasGrant(principal: Principal, resource: Resource, level: NonNullable<Rule['orGrant']>): boolean {
  if (resource.vaultId === undefined || resource.vaultId === null) return principal.owner
  return vaultAccess(principal, resource.vaultId, level) !== undefined
}

/** Actions without `visible` are their own measure: on the account there is nothing to hide, on a resource there is. */
function mayKnow(principal: Principal, rule: Rule, action: Action, resource: Resource): boolean {
  if (rule.visible !== undefined && rule.visible !== action) return decide(principal, rule.visible as Action, resource).permit
  return !action.endsWith('.read')
}

const denied = (rule: Rule): Decision => ({ permit: false, code: 'forbidden', ...(rule.anyOf?.[0] === undefined ? {} : { missing: rule.anyOf[0] }) })

const ruleOf = (action: string): Rule | undefined => (Object.hasOwn(rules, action) ? rules[action as Action] : undefined)

import type { OrganizationId, VaultId } from '#schemas/ids.ts'
import type { Principal } from '#schemas/principal.ts'
import { vaultAccess } from '#schemas/rules/access.ts'
import { rules, type Action, type Rule } from './rules.ts'

/** Which part of the account a caller may see: everything, these organizations, and these vaults. For WHERE clauses. */
export interface Scope {
  readonly all: boolean
  readonly organizationIds: readonly OrganizationId[]
  readonly vaultIds: readonly VaultId[]
}

/** The scope in which `action` is permitted by permissions (`anyOf`) or by grants alone (`orGrant`). */
export function scopeOf(principal: Principal, action: Action): Scope {
  const rule: Rule = rules[action]
  const held = principal.permissions.filter((permission) => rule.anyOf?.includes(permission.name))
  const { orGrant } = rule
  const vaultIds = orGrant === undefined ? [] : principal.grants.map((grant) => grant.vaultId).filter((id) => vaultAccess(principal, id, orGrant) !== undefined)
  return {
    all: principal.owner || held.some((permission) => permission.organizationId === null),
    organizationIds: [...new Set(held.map((permission) => permission.organizationId).filter((id) => id !== null))],
    vaultIds: [...new Set(vaultIds)],
  }
}

export const isEmpty = (scope: Scope): boolean => !scope.all && scope.organizationIds.length === 0 && scope.vaultIds.length === 0

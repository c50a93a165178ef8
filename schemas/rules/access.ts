import type { OrganizationId, VaultId } from '../ids.ts'
import type { GrantLevel, Permission, Principal } from '../principal.ts'

const rank: Record<GrantLevel, number> = { view_vault: 1, view_credentials: 2, checkout: 3 }

/** Whether a role of the principal gives `name` in the whole account or in this organization. Owners hold every permission. */
export function hasPermission(principal: Principal, name: Permission, organizationId: OrganizationId | null): boolean {
  return principal.owner || principal.permissions.some((held) => held.name === name && (held.organizationId === null || held.organizationId === organizationId))
}

/**
 * The principal's access to a vault at `level` or above: undefined when there is none, else when it ends by itself
 * (null: it does not). Over several paths the latest end counts. Owners pass the grant check.
 * Support staff have it no longer than the window they came in by.
 */
export function vaultAccess(principal: Principal, vaultId: VaultId, level: GrantLevel): { readonly endsAt: Date | null } | undefined {
  if (principal.owner) return { endsAt: null }
  const windowEnd = principal.support?.endsAt ?? null
  const ends = principal.grants.filter((grant) => grant.vaultId === vaultId && rank[grant.level] >= rank[level]).map((grant) => grant.endsAt)
  if (ends.length === 0) return undefined
  const last = ends.includes(null) ? null : new Date(Math.max(...ends.map((end) => end?.getTime() ?? 0)))
  return { endsAt: last === null || (windowEnd !== null && windowEnd < last) ? windowEnd : last }
}

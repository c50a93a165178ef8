import type { Permission } from '#schemas/principal.ts'

/** Kinds of callers, and who of them sees what. */

/** A person with this one permission for the whole account, and no grant. */
const byPermission = {
  view: 'pam_vaults.view',
  manage: 'pam_vaults.manage',
  break_glass: 'pam_vaults.break_glass',
  manage_users: 'hosts.manage_users',
  approve: 'pam_requests.approve',
  sessions: 'pam_sessions.manage',
  audit: 'pam_audit.view',
  connectors: 'connectors.manage',
  support: 'support_access.manage',
  organizations: 'organizations.manage',
} as const satisfies Record<string, Permission>
/** A grant on the vault without any permission, and with pam_vaults.view. `view+checkout` holds the lease. */
export const grantLevels = ['view_vault', 'view_credentials', 'checkout'] as const

export type Person = keyof typeof byPermission | `${'grant' | 'view'}+${(typeof grantLevels)[number]}` | 'owner'
export const permissionOf: Readonly<Partial<Record<Person, Permission>>> = byPermission

const single = Object.keys(byPermission) as Person[]
const grants: Person[] = grantLevels.map((level) => `grant+${level}` as const)
const withView: Person[] = grantLevels.map((level) => `view+${level}` as const)
export const people: readonly Person[] = ['owner', ...single, ...withView, ...grants]
export const anyRole = people.filter((person) => !grants.includes(person))
export const seesVault: readonly Person[] = ['owner', 'view', 'manage', ...withView, ...grants]
export const seesHosts: readonly Person[] = ['owner', 'view', 'manage', 'manage_users', ...withView]
export const seesConnectors: readonly Person[] = ['owner', 'view', 'manage', 'connectors', ...withView]
export const seesLeases: readonly Person[] = ['owner', 'view', 'manage', ...withView]
export const manages: readonly Person[] = ['owner', 'manage']
export const administers: readonly Person[] = ['owner', 'organizations']
export const seesAdministration: readonly Person[] = ['owner', 'organizations', 'audit']
export const seesDirectory: readonly Person[] = [...seesAdministration, 'manage']
export const holder: readonly Person[] = ['view+checkout']
export const seesSupport: readonly Person[] = ['owner', 'support', 'audit']

import type { AccountId, OrganizationId, UserId, VaultId } from './ids.ts'

export const permissions = [
  'pam_vaults.view',
  'pam_vaults.manage',
  'pam_vaults.break_glass',
  'hosts.manage_users',
  'pam_requests.approve',
  'pam_sessions.manage',
  'pam_audit.view',
  'connectors.manage',
  'support_access.manage',
  'organizations.manage',
] as const
export type Permission = (typeof permissions)[number]

export type GrantLevel = 'view_vault' | 'view_credentials' | 'checkout'

/** Who makes a request and everything that their rights follow from, read in one statement. */
export interface Principal {
  readonly accountId: AccountId
  readonly userId: UserId
  readonly iss: string
  readonly sub: string
  readonly name: string | null
  readonly email: string | null
  /** Account owners hold every permission and pass the grant check; nothing else is skipped. */
  readonly owner: boolean
  /** `organizationId` null: in the whole account. */
  readonly permissions: readonly { readonly name: Permission; readonly organizationId: OrganizationId | null }[]
  /** Rows that all of this follows from, besides the grants: they are compared with what they have become where it counts. */
  readonly basis: {
    /** Roles and their versions, in the same order. */
    readonly roleIds: readonly string[]
    readonly roleVersions: readonly number[]
    readonly assignmentIds: readonly string[]
    readonly membershipIds: readonly string[]
  }
  /** Groups that the user is in. */
  readonly groupIds: readonly string[]
  /** Somebody of the support staff: all of their rights rest on this window; null: a person of the account. */
  readonly support: { readonly windowId: string; readonly version: number; readonly endsAt: Date | null } | null
  /** The directory record that is linked to this user; grants are given to it or to its groups. */
  readonly idpUserId: string | null
  /** When the token was issued whose `groups` claim was followed last; null: none yet. */
  readonly groupsIssuedAt: Date | null
  /** Version of the account's policies that is in force; null: the baseline. */
  readonly policyVersion: number | null
  /** Open grants, own and by group. `endsAt` null: does not end by itself. */
  readonly grants: readonly { readonly id: string; readonly vaultId: VaultId; readonly level: GrantLevel; readonly endsAt: Date | null }[]
}

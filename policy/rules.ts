import { permissions, type GrantLevel, type Permission } from '#schemas/principal.ts'
import type { StepUpClass } from '#schemas/step-up.ts'

/** What one action needs. A part that is absent asks for nothing; an action without a rule is denied. */
export interface Rule {
  /** Any one of these permissions, in the organization of the resource or in the whole account. */
  readonly anyOf?: readonly Permission[]
  /** A grant at this level on the vault does instead of the permission: a grant alone shows that one vault. */
  readonly orGrant?: GrantLevel
  /** A grant at this level on the vault is needed too; account owners pass it (S2 "Permissions reference"). */
  readonly andGrant?: GrantLevel
  /** `instead`: the holder of the lease, or who made the request, needs nothing else; `only`: nobody but them. */
  readonly holder?: 'instead' | 'only'
  /** Who may decide on the request needs nothing else (`instead`), or is the only one who may (`only`). */
  readonly approver?: 'instead' | 'only'
  /** The caller must be linked to a record of the directory; account owners pass (S2 "No IDP user mapping"). */
  readonly mapping?: true
  /** Under a break-glass lease this permission does instead of the others, the grant and the mapping. */
  readonly emergency?: Permission
  /** A collection: permitted when there is anything that the caller may see; the query then filters by `scopeOf`. */
  readonly collection?: true
  /** Which rule about the strength and age of the login it is held to besides. */
  readonly stepUp?: StepUpClass
  /** Who is denied this may still know that the resource exists when this other action is permitted; else it is not found. */
  readonly visible?: string
}

const view = { anyOf: ['pam_vaults.view', 'pam_vaults.manage'], orGrant: 'view_vault' } as const satisfies Rule
const manage = { anyOf: ['pam_vaults.manage'], visible: 'vault.read' } as const satisfies Rule
const directory = { anyOf: ['organizations.manage'], stepUp: 'admin', visible: 'directory.read' } as const satisfies Rule
const anyRole = { anyOf: permissions } as const satisfies Rule
const organizations = { anyOf: ['organizations.manage'], stepUp: 'admin', visible: 'organization.read' } as const satisfies Rule

const approvalPolicies = { anyOf: ['organizations.manage'], stepUp: 'admin', visible: 'approval-policy.read' } as const satisfies Rule

/** Every action of the API (S2 "Permissions reference", and who may administer what). */
export const rules = {
  'me.read': {},

  'break-glass-credential.read': {},
  'break-glass-credential.enrol': { anyOf: ['pam_vaults.break_glass'], collection: true, stepUp: 'break_glass' },
  'break-glass-credential.revoke': { anyOf: ['pam_vaults.manage', 'organizations.manage'], stepUp: 'admin', visible: 'user.read' },
  'break-glass-review.list': { anyOf: ['pam_vaults.manage', 'pam_audit.view'], collection: true },
  'break-glass-review.read': { anyOf: ['pam_vaults.manage', 'pam_audit.view'], holder: 'instead' },
  'break-glass-review.read-evidence': { anyOf: ['pam_audit.view'], visible: 'break-glass-review.read' },
  'break-glass-review.sign': { anyOf: ['pam_vaults.manage'], stepUp: 'admin', visible: 'break-glass-review.read' },

  'organization.list': { ...anyRole, collection: true },
  'organization.read': anyRole,
  'organization.create': { anyOf: ['organizations.manage'], stepUp: 'admin' },
  'organization.update': organizations,
  'organization.delete': organizations,
  'organization.set-secret': organizations,
  'organization.rotate-secret': organizations,
  'organization.import-legacy': organizations,
  'organization.set-step-up': organizations,

  'vault.list': { ...view, collection: true },
  'vault.read': view,
  'vault.create': { anyOf: ['pam_vaults.manage'] },
  'vault.update': manage,
  'vault.delete': manage,

  'grant.list': { anyOf: ['pam_vaults.manage', 'pam_audit.view'], visible: 'vault.read' },
  // Who gives a value away is held to the login that having it asks for.
  'grant.create': { ...manage, stepUp: 'checkout' },
  'grant.revoke': { ...manage, stepUp: 'checkout' },
  'principal.search': { anyOf: ['pam_vaults.manage', 'organizations.manage', 'pam_audit.view'], collection: true },

  'user.list': { anyOf: ['organizations.manage', 'pam_audit.view'] },
  'user.read': { anyOf: ['organizations.manage', 'pam_audit.view'] },
  'user.create': { anyOf: ['organizations.manage'], stepUp: 'admin' },
  'user.update': { anyOf: ['organizations.manage'], stepUp: 'admin', visible: 'user.read' },

  'directory.list': { anyOf: ['organizations.manage', 'pam_vaults.manage', 'pam_audit.view'] },
  'directory.read': { anyOf: ['organizations.manage', 'pam_vaults.manage', 'pam_audit.view'] },
  'idp-user.create': directory,
  'idp-user.update': directory,
  'idp-group.create': directory,
  'idp-group.update': directory,
  'idp-group.delete': directory,
  'idp-group.add-member': directory,
  'idp-group.remove-member': directory,

  'role.list': { anyOf: ['organizations.manage', 'pam_audit.view'] },
  'role.read': { anyOf: ['organizations.manage', 'pam_audit.view'] },
  'role.create': { anyOf: ['organizations.manage'], stepUp: 'admin' },
  'role.update': { anyOf: ['organizations.manage'], stepUp: 'admin', visible: 'role.read' },
  'role.delete': { anyOf: ['organizations.manage'], stepUp: 'admin', visible: 'role.read' },
  'role.assign': { anyOf: ['organizations.manage'], stepUp: 'admin', visible: 'role.read' },
  'role.unassign': { anyOf: ['organizations.manage'], stepUp: 'admin', visible: 'role.read' },

  'identity.list': { ...view, collection: true },
  'identity.read': view,
  'identity.create': manage,
  'identity.update': manage,
  'identity.delete': manage,
  'identity.move': { ...manage, stepUp: 'checkout' },
  'identity.reveal': { anyOf: ['pam_vaults.view'], andGrant: 'view_credentials', mapping: true, stepUp: 'reveal', visible: 'vault.read' },
  'identity.checkout': { anyOf: ['pam_vaults.view'], andGrant: 'checkout', mapping: true, stepUp: 'checkout', visible: 'vault.read' },
  // Neither a grant nor a record in the directory: nobody can be asked for one in time.
  'identity.break-glass': { anyOf: ['pam_vaults.break_glass'], stepUp: 'break_glass', visible: 'vault.read' },
  'identity.rotate': manage,
  'identity.check': manage,

  'lease.list': { ...view, collection: true },
  'lease.read': { anyOf: ['pam_vaults.view', 'pam_vaults.manage'], holder: 'instead' },
  'lease.read-credential': {
    anyOf: ['pam_vaults.view'],
    andGrant: 'checkout',
    mapping: true,
    holder: 'only',
    emergency: 'pam_vaults.break_glass',
    stepUp: 'checkout',
    visible: 'lease.read',
  },
  'lease.checkin': { holder: 'only', visible: 'lease.read' },
  'lease.extend': { holder: 'only', stepUp: 'checkout', visible: 'lease.read' },
  'lease.force-checkin': { anyOf: ['pam_vaults.manage'], visible: 'lease.read' },
  'lease.read-reason': { anyOf: ['pam_vaults.manage', 'pam_audit.view'], holder: 'instead' },

  'rotation.list': { ...view, collection: true },
  'rotation.read': view,
  'rotation.resolve': { anyOf: ['pam_vaults.manage'], visible: 'rotation.read' },
  'rotation.read-credentials': { anyOf: ['pam_vaults.manage'], andGrant: 'view_credentials', stepUp: 'reveal', visible: 'rotation.read' },
  // Besides what rotating one of its identities needs, on each of them.
  'rotation-campaign.create': { anyOf: ['pam_vaults.manage'], collection: true },
  // Of identities in many vaults: a grant on one of them shows none of it.
  'rotation-campaign.list': { anyOf: ['pam_vaults.view', 'pam_vaults.manage'], collection: true },
  'rotation-campaign.read': { anyOf: ['pam_vaults.view', 'pam_vaults.manage'] },
  'rotation-campaign.read-reason': { anyOf: ['pam_vaults.manage', 'pam_audit.view'], holder: 'instead' },
  'rotation-campaign.pause': { anyOf: ['pam_vaults.manage'], visible: 'rotation-campaign.read' },
  'rotation-campaign.resume': { anyOf: ['pam_vaults.manage'], visible: 'rotation-campaign.read' },
  'rotation-campaign.abort': { anyOf: ['pam_vaults.manage'], visible: 'rotation-campaign.read' },
  'job.list': { ...view, collection: true },
  'job.read': view,

  'host.list': { anyOf: ['pam_vaults.view', 'pam_vaults.manage', 'hosts.manage_users'], collection: true },
  'host.read': { anyOf: ['pam_vaults.view', 'pam_vaults.manage', 'hosts.manage_users'] },
  // A host is told the values of its accounts: who says where it is, is held to the login that having them asks for.
  'host.create': { anyOf: ['pam_vaults.manage'], stepUp: 'checkout' },
  'host.update': { anyOf: ['pam_vaults.manage'], stepUp: 'checkout', visible: 'host.read' },
  'host.delete': { anyOf: ['pam_vaults.manage'], visible: 'host.read' },
  'host.enroll': { anyOf: ['hosts.manage_users'], visible: 'host.read' },

  'connector.list': { anyOf: ['connectors.manage', 'pam_vaults.view', 'pam_vaults.manage'], collection: true },
  'connector.read': { anyOf: ['connectors.manage', 'pam_vaults.view', 'pam_vaults.manage'] },
  'connector.create': { anyOf: ['connectors.manage'] },
  'connector.update': { anyOf: ['connectors.manage'], visible: 'connector.read' },
  'connector.delete': { anyOf: ['connectors.manage'], visible: 'connector.read' },

  'policy.list': { anyOf: ['organizations.manage', 'pam_audit.view'] },
  'policy.read': { anyOf: ['organizations.manage', 'pam_audit.view'] },
  'policy.create': { anyOf: ['organizations.manage'], stepUp: 'admin' },
  'policy.activate': { anyOf: ['organizations.manage'], stepUp: 'admin', visible: 'policy.read' },
  'policy.try': { anyOf: ['organizations.manage'], visible: 'policy.list' },

  'duty.list': { anyOf: ['organizations.manage'] },
  'duty.retry': { anyOf: ['organizations.manage'], stepUp: 'admin', visible: 'duty.list' },
  'duty.reconcile': { anyOf: ['organizations.manage'], stepUp: 'admin', visible: 'duty.list' },

  // Everybody reads what they were told; administrators read all of it.
  'notice.list': {},
  'notification-channel.list': { anyOf: ['organizations.manage', 'pam_audit.view'], collection: true },
  'notification-channel.read': { anyOf: ['organizations.manage', 'pam_audit.view'] },
  'notification-channel.create': { anyOf: ['organizations.manage'], stepUp: 'admin' },
  'notification-channel.update': { anyOf: ['organizations.manage'], stepUp: 'admin', visible: 'notification-channel.read' },
  'notification-channel.delete': { anyOf: ['organizations.manage'], stepUp: 'admin', visible: 'notification-channel.read' },
  'notification-channel.test': { anyOf: ['organizations.manage'], stepUp: 'admin', visible: 'notification-channel.read' },
  'approval-policy.list': { anyOf: ['organizations.manage', 'pam_audit.view'], collection: true },
  'approval-policy.read': { anyOf: ['organizations.manage', 'pam_audit.view'] },
  'approval-policy.create': approvalPolicies,
  'approval-policy.update': approvalPolicies,
  'approval-policy.delete': approvalPolicies,

  // Everybody sees their own and those that they may decide on; the query filters.
  'access-request.list': {},
  'access-request.read': { anyOf: ['pam_vaults.manage', 'pam_audit.view'], holder: 'instead', approver: 'instead' },
  'access-request.update': { holder: 'only', stepUp: 'checkout', visible: 'access-request.read' },
  'access-request.cancel': { holder: 'only', visible: 'access-request.read' },
  // Who lets others have a value is held to the login that having it asks for.
  'access-request.decide': { approver: 'only', stepUp: 'checkout', visible: 'access-request.read' },

  // Everybody sees those that they review; the query filters.
  'recertification.list': {},
  'recertification.read': { anyOf: ['organizations.manage', 'pam_audit.view'], approver: 'instead' },
  'recertification.create': organizations,
  'recertification.cancel': { anyOf: ['organizations.manage'], stepUp: 'admin', visible: 'recertification.read' },
  // Who takes roles away is held to the login that it asks for elsewhere.
  'recertification.decide': { approver: 'only', stepUp: 'admin', visible: 'recertification.read' },
  'recertification.read-evidence': { anyOf: ['pam_audit.view'], visible: 'recertification.read' },

  'support-access.list': { anyOf: ['support_access.manage', 'pam_audit.view'] },
  'support-access.change': { anyOf: ['support_access.manage'], stepUp: 'admin', visible: 'support-access.list' },
  // One click: closing a door asks for no stronger login than the one in hand.
  'support-access.emergency-disable': { anyOf: ['support_access.manage'], visible: 'support-access.list' },

  'audit.list': { anyOf: ['pam_audit.view'], collection: true },
} as const satisfies Record<string, Rule>

export type Action = keyof typeof rules

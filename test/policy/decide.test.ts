import { describe, expect, test } from 'vitest'
import { decide, type Resource } from '#policy/decide.ts'
import { rules, type Action } from '#policy/rules.ts'
import { scopeOf } from '#policy/scope.ts'
import { AccountId, OrganizationId, UserId, VaultId } from '#schemas/ids.ts'
import { permissions, type GrantLevel, type Permission, type Principal } from '#schemas/principal.ts'

const id = (number: number): string => `00000000-0000-7000-8000-${String(number).padStart(12, '0')}`
const organizationId = OrganizationId.parse(id(1))
const elsewhere = OrganizationId.parse(id(2))
const vaultId = VaultId.parse(id(3))
const userId = UserId.parse(id(4))
const inVault: Resource = { organizationId, vaultId }
const actions = Object.keys(rules) as Action[]

function principal(held: readonly Permission[] = [], more: Partial<Principal> = {}): Principal {
  return {
    accountId: AccountId.parse(id(9)),
    userId,
    iss: 'https://issuer',
    sub: 'sam',
    name: null,
    email: null,
    owner: false,
    idpUserId: id(8),
    grants: [],
    basis: { roleIds: [], roleVersions: [], assignmentIds: [], membershipIds: [] },
    groupIds: [],
    groupsIssuedAt: null,
    policyVersion: null,
    support: null,
    permissions: held.map((name) => ({ name, organizationId: null })),
    ...more,
  }
}
const withGrant = (level: GrantLevel, held: readonly Permission[] = ['pam_vaults.view'], more: Partial<Principal> = {}): Principal =>
  principal(held, { grants: [{ id: id(7), vaultId, level, endsAt: null }], ...more })

/** Actions on nobody's things but one's own. */
const aboutOneself: readonly string[] = ['me.read', 'break-glass-credential.read']

describe('default deny', () => {
  test('an action without a rule is denied, even to the owner', () => {
    for (const action of ['vault.explode', 'constructor', '__proto__', '']) {
      expect(decide(principal([], { owner: true }), action as Action, inVault)).toEqual({ permit: false, code: 'forbidden' })
    }
  })

  test('somebody without permissions and grants may do nothing but look at themselves', () => {
    expect(actions.filter((action) => decide(principal(), action, { ...inVault, holderId: UserId.parse(id(5)) }).permit)).toEqual([
      ...aboutOneself,
      // Their queries filter: what one was told, and what one asked for or may decide on.
      'notice.list',
      'access-request.list',
      'recertification.list',
    ])
  })

  test('the owner may do everything that is not reserved to the holder of a lease, the requester or the approvers', () => {
    const refused = actions.filter((action) => !decide(principal([], { owner: true }), action, { ...inVault, holderId: UserId.parse(id(5)) }).permit)
    expect(refused).toEqual([
      'lease.read-credential',
      'lease.checkin',
      'lease.extend',
      'access-request.update',
      'access-request.cancel',
      'access-request.decide',
      'recertification.decide',
    ])
  })
})

describe('permissions (S2 "Permissions reference")', () => {
  const table: readonly (readonly [Action, Permission])[] = [
    ['vault.list', 'pam_vaults.view'],
    ['identity.list', 'pam_vaults.view'],
    ['lease.list', 'pam_vaults.view'],
    ['rotation.list', 'pam_vaults.view'],
    ['job.list', 'pam_vaults.view'],
    ['vault.create', 'pam_vaults.manage'],
    ['vault.update', 'pam_vaults.manage'],
    ['vault.delete', 'pam_vaults.manage'],
    ['identity.create', 'pam_vaults.manage'],
    ['identity.update', 'pam_vaults.manage'],
    ['identity.rotate', 'pam_vaults.manage'],
    ['grant.create', 'pam_vaults.manage'],
    ['grant.revoke', 'pam_vaults.manage'],
    ['lease.force-checkin', 'pam_vaults.manage'],
    ['host.create', 'pam_vaults.manage'],
    ['host.enroll', 'hosts.manage_users'],
    ['connector.create', 'connectors.manage'],
    ['connector.delete', 'connectors.manage'],
    ['organization.create', 'organizations.manage'],
    ['organization.set-secret', 'organizations.manage'],
    ['audit.list', 'pam_audit.view'],
  ]
  test.each(table)('%s is permitted by %s', (action, permission) => {
    expect(decide(principal([permission]), action, inVault)).toEqual({ permit: true })
  })

  test.each(table.filter(([action]) => !action.endsWith('.list')))('%s is permitted by no permission but %s', (action, permission) => {
    const others = permissions.filter((other) => other !== permission)
    expect(decide(principal(others), action, inVault)).toMatchObject({ permit: false, code: 'forbidden', missing: permission })
  })

  test('a permission in one organization does not reach another one or the account', () => {
    const manager = principal([], { permissions: [{ name: 'pam_vaults.manage', organizationId }] })
    expect(decide(manager, 'identity.create', inVault).permit).toBe(true)
    expect(decide(manager, 'identity.create', { ...inVault, organizationId: elsewhere })).toMatchObject({ code: 'not-found' })
    expect(decide(manager, 'organization.create', {}).permit).toBe(false)
  })
})

describe('vault access (S2 "Access levels")', () => {
  const levels: readonly (readonly [GrantLevel, boolean, boolean])[] = [
    ['view_vault', false, false],
    ['view_credentials', true, false],
    ['checkout', true, true],
  ]
  test.each(levels)('%s: reveal %s, checkout %s', (level, reveal, checkout) => {
    expect(decide(withGrant(level), 'identity.reveal', inVault).permit).toBe(reveal)
    expect(decide(withGrant(level), 'identity.checkout', inVault).permit).toBe(checkout)
  })

  test('pam_vaults.view shows the vault but not the value', () => {
    expect(decide(principal(['pam_vaults.view']), 'identity.read', inVault).permit).toBe(true)
    expect(decide(principal(['pam_vaults.view']), 'identity.reveal', inVault)).toEqual({
      permit: false,
      code: 'forbidden',
      missing: 'vault access: view_credentials',
    })
  })

  test('a grant alone shows its vault and no other, and never the value', () => {
    const guest = withGrant('checkout', [])
    expect(decide(guest, 'identity.read', inVault).permit).toBe(true)
    expect(decide(guest, 'identity.read', { organizationId, vaultId: VaultId.parse(id(33)) })).toMatchObject({ code: 'not-found' })
    expect(decide(guest, 'identity.checkout', inVault)).toMatchObject({ permit: false, code: 'forbidden', missing: 'pam_vaults.view' })
    expect(scopeOf(guest, 'identity.list')).toEqual({ all: false, organizationIds: [], vaultIds: [vaultId] })
  })

  test('without a record in the directory nothing is revealed or checked out, except to owners', () => {
    const unmapped = { idpUserId: null }
    for (const action of ['identity.reveal', 'identity.checkout'] as const) {
      expect(decide(withGrant('checkout', ['pam_vaults.view'], unmapped), action, inVault)).toEqual({ permit: false, code: 'no-idp-user-mapping' })
      expect(decide(principal([], { owner: true, ...unmapped }), action, inVault).permit).toBe(true)
    }
  })
})

describe('leases', () => {
  test('only the holder checks in and extends, whoever else asks', () => {
    for (const action of ['lease.checkin', 'lease.extend'] as const) {
      expect(decide(principal(), action, { ...inVault, holderId: userId }).permit).toBe(true)
      expect(decide(principal(permissions), action, { ...inVault, holderId: UserId.parse(id(5)) })).toMatchObject({ code: 'forbidden' })
    }
  })

  test('the reason of another person is for managers and auditors', () => {
    const theirs = { ...inVault, holderId: UserId.parse(id(5)) }
    expect(decide(principal(['pam_vaults.view']), 'lease.read-reason', theirs).permit).toBe(false)
    expect(decide(principal(['pam_vaults.manage']), 'lease.read-reason', theirs).permit).toBe(true)
    expect(decide(principal(['pam_audit.view']), 'lease.read-reason', theirs).permit).toBe(true)
    expect(decide(principal(), 'lease.read-reason', { ...inVault, holderId: userId }).permit).toBe(true)
    expect(decide(principal(['pam_vaults.view']), 'rotation-campaign.read-reason', theirs).permit).toBe(false)
    expect(decide(principal(['pam_audit.view']), 'rotation-campaign.read-reason', theirs).permit).toBe(true)
  })
})

test('who may not see a resource is told that there is none, for every action on it', () => {
  const onResource = actions.filter((action) => !/\.(list|create|search)$/.test(action) && ![...aboutOneself, 'break-glass-credential.enrol'].includes(action))
  for (const action of onResource) {
    const decision = decide(principal(), action, { ...inVault, holderId: UserId.parse(id(5)) })
    if (action.endsWith('.read-reason')) continue
    expect([action, decision.permit ? 'permit' : decision.code]).toEqual([action, 'not-found'])
  }
})

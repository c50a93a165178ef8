import type { Permission } from '#schemas/principal.ts'

/** The people of the two seeded accounts. Ids are fixed, so that a second start finds what the first one made. */

export interface SeededRole {
  readonly id: string
  readonly name: string
  readonly owner: boolean
  readonly permissions: readonly Permission[]
}
export interface SeededUser {
  readonly id: string
  readonly idpId: string
  readonly sub: string
  readonly name: string
  readonly email: string
  readonly role: SeededRole
}
export interface SeededAccount {
  readonly id: string
  readonly name: string
  readonly users: readonly SeededUser[]
}

const id = (account: number, kind: number, number: number): string => `5eed0000-000${account}-7000-800${kind}-${String(number).padStart(12, '0')}`

const role = (account: number, number: number, name: string, permissions: readonly Permission[], owner = false): SeededRole => ({
  id: id(account, 1, number),
  name,
  owner,
  permissions,
})

const user = (account: number, number: number, sub: string, name: string, domain: string, held: SeededRole): SeededUser => ({
  id: id(account, 2, number),
  idpId: id(account, 3, number),
  sub,
  name,
  email: `${sub}@${domain}`,
  role: held,
})

const owner = role(1, 1, 'Owner', [], true)
const admin = role(1, 2, 'Admin', [
  'pam_vaults.view',
  'pam_vaults.manage',
  'pam_vaults.break_glass',
  'hosts.manage_users',
  'pam_requests.approve',
  'connectors.manage',
  'support_access.manage',
  'organizations.manage',
  'pam_sessions.manage',
])
const operator = role(1, 3, 'Operator', ['pam_vaults.view', 'pam_vaults.break_glass'])
const viewer = role(1, 4, 'Viewer', ['pam_vaults.view'])
const auditor = role(1, 5, 'Auditor', ['pam_vaults.view', 'pam_audit.view'])

export const acme: SeededAccount = {
  id: id(1, 0, 0),
  name: 'acme',
  users: [
    user(1, 1, 'mia', 'Mia Owner', 'acme.example', owner),
    user(1, 2, 'ola', 'Ola Admin', 'acme.example', admin),
    user(1, 3, 'sam', 'Sam Operator', 'acme.example', operator),
    user(1, 4, 'vic', 'Vic Viewer', 'acme.example', viewer),
    user(1, 5, 'axe', 'Axe Auditor', 'acme.example', auditor),
  ],
}

/** A second account, which must never see anything of the first. */
export const globex: SeededAccount = {
  id: id(2, 0, 0),
  name: 'globex',
  users: [user(2, 1, 'gus', 'Gus Owner', 'globex.example', role(2, 1, 'Owner', [], true))],
}

export const seededAccounts: readonly SeededAccount[] = [acme, globex]

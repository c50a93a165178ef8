import type { DatabaseRole } from '#store/roles.ts'
import type { StackCredentials } from './credentials.ts'
import { writePrivate, type Home } from './home.ts'

interface OpenBaoLogin {
  readonly roleId: string
  readonly secretId: string
}
export type RoleName = 'api' | 'worker' | 'bridge'

const databaseRolesOf: Readonly<Record<RoleName, readonly DatabaseRole[]>> = {
  api: ['leasehold_api'],
  worker: ['leasehold_worker', 'leasehold_relay', 'leasehold_expirer'],
  bridge: ['leasehold_bridge'],
}

/** One private file per process role, with what that role needs and nothing else. */
export function writeRoleCredentials(
  home: Home,
  { postgres, tenantSalt }: StackCredentials,
  logins: Readonly<Record<`leasehold-${RoleName}`, OpenBaoLogin>>,
): void {
  for (const role of Object.keys(databaseRolesOf) as RoleName[]) {
    const passwords = Object.fromEntries(databaseRolesOf[role].map((name) => [name, postgres[name]]))
    writePrivate(credentialsFile(home, role), { postgres: passwords, openbao: logins[`leasehold-${role}`], tenantSalt })
  }
}

export const credentialsFile = (home: Home, role: RoleName): string => home.file('credentials', `${role}.json`)

import { databaseRoles, type DatabaseRole } from '#store/roles.ts'
import { randomSecret, readOrCreate, type Home } from './home.ts'

/** Roles of the demo target that the seeded identities stand for. */
export const targetRoles = ['orders_app', 'reports_app', 'shared_ro'] as const

/** Superuser with which Leasehold administers the demo target; the stack itself uses another one, so that it may be rotated. */
export const targetAdmin = 'leasehold_admin'

/** Everything random that a stack makes once. Kept in one private file, because environments and arguments are visible to others. */
export interface StackCredentials {
  readonly postgres: { readonly superuser: string } & Readonly<Record<DatabaseRole, string>>
  readonly target: { readonly superuser: string; readonly admin: string } & Readonly<Record<(typeof targetRoles)[number], string>>
  readonly openbaoBoot: string
  /** base64url, 32 bytes. */
  readonly tenantSalt: string
}

export const stackCredentials = (home: Home): StackCredentials => readOrCreate(home.file('credentials', 'stack.json'), create)

function create(): StackCredentials {
  const secrets = <Name extends string>(names: readonly Name[]) => Object.fromEntries(names.map((name) => [name, randomSecret()])) as Record<Name, string>
  return {
    postgres: secrets(['superuser', ...databaseRoles]),
    target: secrets(['superuser', 'admin', ...targetRoles]),
    openbaoBoot: randomSecret(),
    tenantSalt: randomSecret(),
  }
}

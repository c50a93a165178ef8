import pg from 'pg'
import { clientOptions } from './address.ts'

/** Login roles of PostgreSQL, one per loop or process role; none may bypass row-level security. */
export const databaseRoles = ['leasehold_owner', 'leasehold_api', 'leasehold_worker', 'leasehold_relay', 'leasehold_expirer', 'leasehold_bridge'] as const
export type DatabaseRole = (typeof databaseRoles)[number]

/** A frozen or slow process must not hold a lock on an identity for longer than this. */
const guardRails = { lock_timeout: '300ms', transaction_timeout: '2s', idle_in_transaction_session_timeout: '2s' }

/**
 * Creates the login roles and the database, or brings them up to date. Runs as a superuser at installation.
 *
 * @param superuserUrl connection URL of the maintenance database
 * @param passwords SCRAM verifiers or passwords per role
 * @param database name of the database to create
 * @param ca certificate authorities, PEM
 */
export async function ensureRoles(superuserUrl: string, passwords: Record<DatabaseRole, string>, database = 'leasehold', ca?: string): Promise<void> {
  const client = new pg.Client(clientOptions({ url: superuserUrl, ca }))
  await client.connect()
  try {
    for (const role of databaseRoles) await ensureRole(client, role, passwords[role])
    const { rowCount } = await client.query('select from pg_database where datname = $1', [database])
    if (rowCount === 0) await client.query(`create database ${client.escapeIdentifier(database)} owner leasehold_owner`)
    await client.query(`revoke all on database ${client.escapeIdentifier(database)} from public`)
    await client.query(`grant connect on database ${client.escapeIdentifier(database)} to ${databaseRoles.join(', ')}`)
  } finally {
    await client.end()
  }
}

async function ensureRole(client: pg.Client, role: DatabaseRole, password: string): Promise<void> {
  const { rowCount } = await client.query('select from pg_roles where rolname = $1', [role])
  const verb = rowCount === 0 ? 'create' : 'alter'
  // The statement could be logged by the server: it holds the password only where the caller passes one and not a verifier.
  await client.query(`${verb} role ${role} login nosuperuser nobypassrls nocreatedb nocreaterole password ${client.escapeLiteral(password)}`)
  if (role === 'leasehold_owner') return
  for (const [name, value] of Object.entries(guardRails)) await client.query(`alter role ${role} set ${name} = '${value}'`)
}

import pg from 'pg'
import { scramVerifier } from '#connector/scram.ts'
import { targetAdmin, targetRoles, type StackCredentials } from './credentials.ts'

/**
 * Makes the accounts of the demo target that do not exist yet; later their passwords belong to Leasehold. Only verifiers
 * (RFC 5802) are sent.
 *
 * @param url superuser of the target
 */
export async function ensureTargetRoles(url: string, passwords: StackCredentials['target']): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await ensure(client, targetAdmin, 'superuser', passwords.admin)
    for (const role of targetRoles) await ensure(client, role, 'nosuperuser', passwords[role])
  } finally {
    await client.end()
  }
}

async function ensure(client: pg.Client, role: string, kind: 'superuser' | 'nosuperuser', password: string): Promise<void> {
  const { rowCount } = await client.query('select from pg_roles where rolname = $1', [role])
  if (rowCount !== 0) return
  await client.query(`create role ${role} login ${kind} password ${client.escapeLiteral(await scramVerifier(password))}`)
}

import pg from 'pg'
import { clientOptions, type PostgresAddress } from './address.ts'

/**
 * Whether a development stack made what is in this database.
 *
 * @throws Error of the driver when PostgreSQL cannot be asked within 3 s
 */
export async function isDevelopment(address: PostgresAddress, login: { readonly user: string; readonly password: string }): Promise<boolean> {
  const client = new pg.Client({ ...clientOptions(address, login), connectionTimeoutMillis: 1_500, query_timeout: 1_500 })
  client.on('error', () => {})
  try {
    await client.connect()
    const { rows } = await client.query<{ is_development: boolean }>('select is_development()')
    return rows[0]?.is_development !== false
  } finally {
    await client.end().catch(() => {})
  }
}

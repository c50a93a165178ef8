import { randomBytes } from 'node:crypto'
import pg from 'pg'

/** One role on the target PostgreSQL of the test run (SCRAM, no trust). */
export interface TargetRole {
  readonly username: string
  readonly password: string
}

export interface TestTarget {
  readonly address: string
  readonly port: number
  /** A superuser of the target. */
  readonly admin: TargetRole
  readonly createRole: (options?: string) => Promise<TargetRole>
  readonly run: (statement: string) => Promise<pg.QueryResult>
  /** Whether this password logs in. */
  readonly logsIn: (username: string, password: string) => Promise<boolean>
}

/** @throws Error when the run has no target: LEASEHOLD_TEST_TARGET_URL is the URL of its superuser, password included */
export function testTarget(): TestTarget {
  const url = process.env['LEASEHOLD_TEST_TARGET_URL']
  if (url === undefined) throw new Error('LEASEHOLD_TEST_TARGET_URL is not set; the test command sets it')
  const { hostname, port, username, password } = new URL(url)
  const run = async (statement: string): Promise<pg.QueryResult> => {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    return client.query(statement).finally(() => client.end())
  }
  return {
    address: hostname,
    port: Number(port),
    admin: { username, password: decodeURIComponent(password) },
    run,
    createRole: async (options = 'login') => {
      const role = { username: `r_${randomBytes(6).toString('hex')}`, password: randomBytes(12).toString('base64url') }
      await run(`create role ${role.username} ${options} password '${role.password}'`)
      return role
    },
    logsIn: async (user, value) => {
      const client = new pg.Client({ host: hostname, port: Number(port), user, password: value, database: 'postgres' })
      client.on('error', () => {})
      return client
        .connect()
        .then(() => client.end())
        .then(
          () => true,
          () => false,
        )
    },
  }
}

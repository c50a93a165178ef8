import { createHash, randomUUID } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import pg from 'pg'
import { connect, type Db } from '#store/connection.ts'
import { migrate } from '#store/migrate.ts'
import { databaseRoles, ensureRoles, type DatabaseRole } from '#store/roles.ts'

/** One database with the whole schema on the PostgreSQL of the test run. */
export interface TestDatabase {
  readonly name: string
  /** postgres://host:port/name without a user. */
  readonly url: string
  /** Password of every role. */
  readonly password: string
  /** Runs one statement as superuser: what no role of ours may do. */
  readonly superuser: (text: string, values?: unknown[]) => Promise<pg.QueryResult>
  /** A pool of one of our roles; ended with the database. */
  readonly as: (role: DatabaseRole, max?: number) => Db
  readonly ownerUrl: string
  readonly end: () => Promise<void>
}

const password = 'test'

/** @throws Error when the run has no PostgreSQL: LEASEHOLD_TEST_POSTGRES_URL is the URL of its superuser */
export async function createTestDatabase(): Promise<TestDatabase> {
  const superuserUrl = process.env['LEASEHOLD_TEST_POSTGRES_URL']
  if (superuserUrl === undefined) throw new Error('LEASEHOLD_TEST_POSTGRES_URL is not set; the test command sets it')
  const name = `t_${randomUUID().replaceAll('-', '')}`
  const template = await ensureTemplate(superuserUrl)
  await once(superuserUrl, `create database ${name} template ${template} strategy file_copy owner leasehold_owner`)
  await once(superuserUrl, `grant connect on database ${name} to ${databaseRoles.join(', ')}`)
  const superuser = new pg.Pool({ connectionString: at(superuserUrl, name), max: 2 })
  // Dropping the database may reach a connection that is just being closed.
  superuser.on('error', () => {})
  const url = new URL(at(superuserUrl, name))
  url.username = ''
  url.password = ''
  const pools: Db[] = []
  return {
    name,
    url: url.href,
    password,
    ownerUrl: at(superuserUrl, name, 'leasehold_owner'),
    superuser: (text, values) => superuser.query(text, values),
    as(role, max = 4) {
      const pool = connect({ url: url.href, user: role, password, max })
      pools.push(pool)
      return pool
    },
    async end() {
      await Promise.all([superuser.end(), ...pools.map((pool) => pool.destroy())])
      await once(superuserUrl, `drop database ${name} with (force)`)
    },
  }
}

/** Migrated once for all test files; its name changes with the migrations. */
async function ensureTemplate(superuserUrl: string): Promise<string> {
  const folder = path.join(import.meta.dirname, '../../store/migrations')
  const hash = createHash('sha256')
  for (const file of (await readdir(folder)).sort()) hash.update(await readFile(path.join(folder, file)))
  const template = `template_${hash.digest('hex').slice(0, 16)}`
  const client = new pg.Client({ connectionString: superuserUrl })
  await client.connect()
  try {
    await client.query(`select pg_advisory_lock(hashtext('leasehold test template'))`)
    const { rowCount } = await client.query('select from pg_database where datname = $1 and datistemplate', [template])
    if (rowCount !== 0) return template
    await client.query(`drop database if exists ${template}`)
    await ensureRoles(superuserUrl, Object.fromEntries(databaseRoles.map((role) => [role, password])) as Record<DatabaseRole, string>, template)
    await migrate(at(superuserUrl, template, 'leasehold_owner'))
    await client.query(`alter database ${template} is_template true`)
    return template
  } finally {
    await client.end()
  }
}

function at(superuserUrl: string, database: string, user?: DatabaseRole): string {
  const url = new URL(superuserUrl)
  url.pathname = `/${database}`
  if (user !== undefined) {
    url.username = user
    url.password = password
  }
  return url.href
}

async function once(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(statement).finally(() => client.end())
}

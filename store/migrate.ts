import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { Kysely, PostgresDialect, sql } from 'kysely'
import { Migrator, type Migration } from 'kysely/migration'
import pg from 'pg'
import { clientOptions } from './address.ts'

const folder = path.join(import.meta.dirname, 'migrations')

async function readMigrations(): Promise<Record<string, Migration>> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort()
  return Object.fromEntries(names.map((name) => [name.slice(0, -'.sql'.length), { up: (db) => runFile(db, name) }]))
}

async function runFile(db: Kysely<unknown>, name: string): Promise<void> {
  await sql.raw(await readFile(path.join(folder, name), 'utf8')).execute(db)
}

/**
 * Brings the schema to the newest version; safe to run from several processes at once (advisory lock of the migrator).
 *
 * @param ownerUrl connection URL of leasehold_owner, password included
 * @param ca certificate authorities, PEM
 * @throws the first error of PostgreSQL; the failing migration is rolled back as a whole
 */
export async function migrate(ownerUrl: string, ca?: string): Promise<void> {
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool: new pg.Pool({ ...clientOptions({ url: ownerUrl, ca }), max: 1 }) }) })
  try {
    const migrator = new Migrator({ db, provider: { getMigrations: readMigrations } })
    const { error } = await migrator.migrateToLatest()
    if (error !== undefined) throw error
  } finally {
    await db.destroy()
  }
}

import { createHash } from 'node:crypto'
import { Kysely, PostgresDialect, sql, type PostgresPool } from 'kysely'
import pg from 'pg'
import type { AccountId } from '#schemas/ids.ts'
import { clientOptions, type PostgresAddress } from './address.ts'
import type { Database } from './database.ts'
import { createGate, type Gate } from './gate.ts'
import { translateError } from './postgres-error.ts'

/** A connection pool of one database role. Only the account-free tables (login, relay_state, queues) are read outside a transaction. */
export type Db = Kysely<Database>

declare const inTransaction: unique symbol
/** A Db inside a transaction whose account is set: row-level security and the default of account_id follow from it. */
export type Transaction = Db & { readonly [inTransaction]: AccountId }

export interface ConnectionOptions extends PostgresAddress {
  readonly user: string
  readonly password: string
  /** Upper limit of open connections. */
  readonly max: number
}

const nameOf = new Map<string, string>()
const maximumNames = 2_000

/**
 * One name per statement text lets PostgreSQL plan it once per connection: about a third of the time of a deciding
 * transaction. Texts are few because no list is spliced into them (`= any($1)`); the bound guards against a mistake.
 */
function nameStatement(text: string): string | undefined {
  const known = nameOf.get(text)
  if (known !== undefined || nameOf.size >= maximumNames) return known
  const name = createHash('sha256').update(text).digest('base64url').slice(0, 24)
  nameOf.set(text, name)
  return name
}

/** A statement that PostgreSQL does not answer within this time, ms, will not be answered: its own limits are lower. */
const answerLimit = 1_700

/** How long a caller waits for a connection of a busy server, ms. */
const queueLimit = 10_000

function namingPool(pool: pg.Pool, gate: Gate): PostgresPool {
  return {
    options: {},
    connect: async () => {
      await gate.enter()
      const client = await pool.connect().catch((error: Error) => {
        // In this order: who is let in now would wait for the same missing server once more.
        gate.fail(error)
        gate.leave()
        throw error
      })
      let broken: Error | undefined
      const breakOff = (error: Error): void => {
        broken ??= error
        gate.fail(error)
      }
      client.on('error', breakOff)
      const query = async (text: string, values: unknown[] = []) => {
        // After one statement without an answer nothing else is sent, above all no rollback to wait for.
        if (broken !== undefined) throw broken
        const name = values.length > 0 ? nameStatement(text) : undefined
        try {
          return await client.query(name === undefined ? { text, values } : { name, text, values })
        } catch (error) {
          if (error instanceof Error && error.message === 'Query read timeout') breakOff(error)
          throw error
        }
      }
      const release = (): void => {
        client.off('error', breakOff)
        client.release(broken)
        gate.leave()
      }
      return { query, release }
    },
    end: () => pool.end(),
  } as unknown as PostgresPool
}

export interface PoolState {
  readonly size: number
  readonly busy: number
  readonly waiting: number
}

const states = new WeakMap<Db, () => PoolState>()

/** How full a pool of `connect` is right now. */
export const poolState = (db: Db): PoolState => states.get(db)?.() ?? { size: 0, busy: 0, waiting: 0 }

/** Opens a pool. The caller ends it with `db.destroy()`. */
export function connect(options: ConnectionOptions): Db {
  const pool = new pg.Pool({
    ...clientOptions(options, options),
    max: options.max,
    connectionTimeoutMillis: 1_500,
    query_timeout: answerLimit,
    application_name: options.user,
  })
  // An idle connection that the server closes must not end the process; the next query reports it.
  pool.on('error', () => {})
  // The same for one that was taken out of the pool because it broke.
  pool.on('connect', (client) => client.on('error', () => {}))
  const gate = createGate(options.max, queueLimit, () => new Error('timeout exceeded when trying to connect'))
  const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool: namingPool(pool, gate) }) })
  states.set(db, () => ({ size: pool.totalCount, busy: pool.totalCount - pool.idleCount, waiting: gate.waiting() }))
  return db
}

/**
 * Runs `decide` in one transaction of `account` and commits, or rolls everything back when it throws.
 * Limits of the database role hold: 300 ms for a lock, 2 s for the whole transaction.
 *
 * @throws LeaseholdError `busy` (lock wait), `dependency-unavailable` (PostgreSQL does not answer, or the outcome of the commit is unknown)
 */
export async function inAccount<T>(db: Db, account: AccountId, decide: (trx: Transaction) => Promise<T>): Promise<T> {
  try {
    return await db.connection().execute(async (connection) => {
      // One round trip for both: without parameters the driver uses the simple protocol. The id is a parsed UUID.
      await sql.raw(`begin; select set_config('app.account', '${uuid(account)}', true)`).execute(connection)
      try {
        const result = await decide(connection as Transaction)
        await sql.raw('commit').execute(connection)
        return result
      } catch (error) {
        await sql
          .raw('rollback')
          .execute(connection)
          .catch(() => {})
        throw error
      }
    })
  } catch (error) {
    throw translateError(error)
  }
}

function uuid(value: string): string {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value)) throw new TypeError('not a UUID')
  return value
}

import { createHash } from 'node:crypto'
import type { Writable } from 'node:stream'
import { Kysely, PostgresDialect, sql, type DatabaseConnection, type KyselyProps, type PostgresPool } from 'kysely'
import pg from 'pg'
import type { AccountId } from '#schemas/ids.ts'
import { clientOptions, type PostgresAddress } from './address.ts'
import type { Database } from './database.ts'
import { createGate, type Gate } from './gate.ts'
import { again, Silence, within } from './patience.ts'
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

/** A connection that nobody used for so long is closed, ms. A new one has to plan every statement again, several times. */
const idleLimit = 600_000

/** How long a caller waits for a connection of a busy server, ms. */
const queueLimit = 10_000

function namingPool(pool: pg.Pool, gate: Gate): PostgresPool {
  return {
    options: {},
    connect: async () => {
      await gate.enter()
      const client = await again(() => pool.connect()).catch((error: Error) => {
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
      const gather = createGather(client)
      const query = async (text: string, values: unknown[] = []) => {
        // After one statement without an answer nothing else is sent, above all no rollback to wait for.
        if (broken !== undefined) throw broken
        gather()
        const name = values.length > 0 ? nameStatement(text) : undefined
        try {
          return await within(client.query(name === undefined ? { text, values } : { name, text, values }), answerLimit)
        } catch (error) {
          if (error instanceof Silence) breakOff(error)
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

/**
 * What is asked in one turn of the event loop leaves in one write: each write is a system call, and those were two fifths of what
 * the API spent on a checkout.
 */
function createGather(client: pg.PoolClient): () => void {
  const { stream } = (client as unknown as { connection: { stream: Writable } }).connection
  let gathering = false
  return () => {
    if (gathering) return
    gathering = true
    stream.cork()
    process.nextTick(() => {
      gathering = false
      stream.uncork()
    })
  }
}

/** Opens a pool. The caller ends it with `db.destroy()`. */
export function connect(options: ConnectionOptions): Db {
  const pool = new pg.Pool({
    ...clientOptions(options, options),
    max: options.max,
    connectionTimeoutMillis: 1_500,
    idleTimeoutMillis: idleLimit,
    // What is asked without waiting goes out at once and is answered in the order of the calls.
    pipeline: true,
    application_name: options.user,
  })
  // An idle connection that the server closes must not end the process; the next query reports it.
  pool.on('error', () => {})
  // The same for one that was taken out of the pool because it broke.
  pool.on('connect', (client) => client.on('error', () => {}))
  const gate = createGate(options.max, queueLimit, () => new Error('timeout exceeded when trying to connect'))
  const dialect = new PostgresDialect({ pool: namingPool(pool, gate) })
  const db = new Kysely<Database>({ dialect })
  madeOf.set(db, { config: { dialect }, dialect, driver: dialect.createDriver() })
  states.set(db, () => ({ size: pool.totalCount, busy: pool.totalCount - pool.idleCount, waiting: gate.waiting() }))
  return db
}

/** What a Kysely is made of, to make another one of it. */
const madeOf = new WeakMap<Db, Omit<KyselyProps, 'executor'>>()

/**
 * Runs `decide` in one transaction of `account` and commits, or rolls everything back when it throws.
 * Limits of the database role hold: 300 ms for a lock, 2 s for the whole transaction.
 *
 * Statements that are started without waiting for each other (`Promise.all`) travel together and run one after the other in the
 * order in which they were started: a lock that is started first is held when the next statement takes its snapshot. When one
 * of them fails, those behind it are refused.
 *
 * @throws LeaseholdError `busy` (lock wait), `dependency-unavailable` (PostgreSQL does not answer, or the outcome of the commit is unknown)
 */
export function inAccount<T>(db: Db, account: AccountId, decide: (trx: Transaction) => Promise<T>): Promise<T> {
  return run(db, account, decide, false)
}

/** Runs transactions of one account, each as `inAccount` does. */
export type RunInAccount = <T>(decide: (trx: Transaction) => Promise<T>) => Promise<T>

export const runnerOf =
  (db: Db, account: AccountId): RunInAccount =>
  (decide) =>
    inAccount(db, account, decide)

/**
 * As inAccount, in one journey: the commit leaves together with the statements that `ask` starts before it first waits. One that
 * it starts later is refused.
 */
export function askInAccount<T>(db: Db, account: AccountId, ask: (trx: Transaction) => Promise<T>): Promise<T> {
  return run(db, account, ask, true)
}

async function run<T>(db: Db, account: AccountId, decide: (trx: Transaction) => Promise<T>, atOnce: boolean): Promise<T> {
  try {
    return await db.getExecutor().provideConnection((connection) => transact(onConnection(db, connection), account, decide, atOnce))
  } catch (error) {
    throw translateError(error)
  }
}

async function transact<T>({ trx, close }: OneConnection, account: AccountId, decide: (trx: Transaction) => Promise<T>, atOnce: boolean): Promise<T> {
  // One round trip for both, and for the first statements of `decide`: without parameters the driver uses the simple
  // protocol. The id is a parsed UUID. Without an account row-level security shows nothing and takes nothing.
  const begun = sql.raw(`begin; select set_config('app.account', '${uuid(account)}', true)`).execute(trx)
  const decided = begin(() => decide(trx as Transaction))
  const commit = () => {
    const committing = sql.raw<{ command: string }>('commit').execute(trx)
    committing.catch(() => {})
    close()
    return committing
  }
  const committed = atOnce ? commit() : undefined
  try {
    await begun
    const result = await decided
    const committing = committed ?? commit()
    // A commit behind a statement that failed undoes everything, and says so.
    const [last, end] = await Promise.allSettled([lastOf.get(trx), committing])
    if (last.status === 'rejected') throw last.reason
    if (end.status === 'rejected') throw end.reason
    if (end.value.rows[0]?.command !== 'COMMIT') throw new Error('rolled back: a statement of the transaction had failed')
    return result
  } catch (error) {
    await Promise.allSettled([decided, committed])
    const undone = sql.raw('rollback').execute(trx)
    close()
    await undone.catch(() => {})
    throw error
  }
}

const lastOf = new WeakMap<Db, Promise<unknown>>()

/**
 * Lets the last write of a transaction travel with its commit instead of being waited for. When it fails nothing is committed,
 * and `inAccount` throws why.
 */
export function sendWithCommit(trx: Transaction, write: Promise<unknown>): void {
  write.catch(() => {})
  lastOf.set(trx, write)
}

/** Starts it now; what it throws is looked at later. */
function begin<T>(decide: () => Promise<T>): Promise<T> {
  const decided = (async () => decide())()
  decided.catch(() => {})
  return decided
}

interface OneConnection {
  readonly trx: Db
  /** From now on statements are refused: one that comes late must not run outside of the transaction. */
  close(): void
}

/** The same database on one connection. Kysely's own would send a statement only when the one before it was answered. */
function onConnection(db: Db, connection: DatabaseConnection): OneConnection {
  const made = madeOf.get(db)
  if (made === undefined) throw new TypeError('not a pool of connect()')
  let open = true
  const executor = db.getExecutor().withConnectionProvider({
    provideConnection: (use) => (open ? use(connection) : Promise.reject(new Error('the transaction is over'))),
  })
  return {
    trx: new Kysely<Database>({ ...made, executor }),
    close: () => {
      open = false
    },
  }
}

function uuid(value: string): string {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value)) throw new TypeError('not a UUID')
  return value
}

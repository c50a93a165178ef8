import type { Connection } from 'mysql2/promise'
import { accountNameFault } from '#schemas/account-name.ts'
import type { ReasonClass } from '#schemas/connector-message.ts'
import { judgeMySqlError, openMySql } from '../mysql-session.ts'
import { isPreparedPassword } from '../scram.ts'
import { connectionFault } from '../tls.ts'
import type { Adapter, Change, ChangeOutcome, Login, LoginOutcome, Target } from './adapter.ts'

/**
 * Accounts of MySQL and MariaDB, always over TLS. The rules of the target have to see the value, so it is in the statement. MySQL
 * keeps it out of its logs. MariaDB (10.11) keeps it out of the binary log for SET PASSWORD and not for ALTER USER, which would
 * also replace the account's way to authenticate, and needs a right that an account does not have on itself.
 */
export const mysqlAdapter: Adapter = { change, logIn }

/** s that the target waits for a lock, so that nothing is applied long after we stopped waiting. */
const lockSeconds = 5

/** Ways to authenticate that the driver knows; with another one nobody could prove what was set. */
const provable: readonly unknown[] = ['', 'mysql_native_password', 'caching_sha2_password', 'sha256_password']
const denials = [1044, 1131, 1142, 1227].map((number) => [number, 'denied'] as const)
const refusals: Readonly<Record<number, ReasonClass>> = { ...Object.fromEntries(denials), 1819: 'policy-refused', 3638: 'policy-refused' }
/** Shutdown and kills: they may have come after the change. */
const interruptions: readonly number[] = [1053, 1317, 1927]

const unchanged = (reasonClass: ReasonClass): ChangeOutcome => ({ change: 'unchanged', reasonClass })

async function change(target: Target, { as, username, password, beforeSend }: Change): Promise<ChangeOutcome> {
  if (!isPreparedPassword(password) || !isName(username)) return unchanged('unsupported')
  const account = as.username === username ? undefined : { user: quoted(username), host: quoted(String(target.parameters['accountHost'] ?? '%')) }
  const session = await openMySql(target, as)
  if ('login' in session) return unchanged(session.login === 'unclear' ? session.reasonClass : 'denied')
  const { connection, within, close } = session
  try {
    const server = await within(() => prepare(connection, account))
    if (typeof server === 'string') return unchanged(server)
    const name = account === undefined ? undefined : `${account.user}@${account.host}`
    const remaining = beforeSend()
    if (remaining < lockSeconds * 1_000) return unchanged('late')
    const sql = server.isMariaDb
      ? `set password ${name === undefined ? '' : `for ${name}`} = password(${quoted(password)})`
      : `alter user ${name ?? 'current_user()'} identified by ${quoted(password)}`
    return await sent(connection.query({ sql, timeout: remaining }))
  } finally {
    await close()
  }
}

interface Account {
  /** Both as they stand in a statement. */
  readonly user: string
  readonly host: string
}

/** @returns what kind of server it is, or why nothing can be asked of it */
async function prepare(connection: Connection, account: Account | undefined): Promise<{ isMariaDb: boolean } | ReasonClass> {
  try {
    const isMariaDb = /mariadb/i.test(String(await only(connection, 'select version() as value')))
    // Without backslash escapes a quote is the only character that has to be doubled.
    await connection.query(`set session sql_mode = 'NO_BACKSLASH_ESCAPES', lock_wait_timeout = ${lockSeconds}, wait_timeout = ${lockSeconds}`)
    if (isMariaDb) await connection.query(`set session max_statement_time = ${lockSeconds}`)
    // Logs of statements would have the value. Whether an admin may keep itself out of the general one is the target's affair.
    for (const log of ['slow_query_log = 0', 'sql_log_off = 1']) await connection.query(`set session ${log}`).catch(evenIfRefused)
    if (account !== undefined && !(await isProvable(connection, account))) return 'unsupported'
    return { isMariaDb }
  } catch (error) {
    return isAnswer(error) ? 'denied' : connectionFault(error)
  }
}

const isAnswer = (error: unknown): boolean => 'sqlState' in (error as object)

/** A server may refuse to do it; that it does not answer is something else. @throws the error of the connection */
function evenIfRefused(error: unknown): void {
  if (!isAnswer(error)) throw error
}

/** An admin who may not look is believed. */
async function isProvable(connection: Connection, { user, host }: Account): Promise<boolean> {
  const plugin = await only(connection, `select plugin as value from mysql.user where user = ${user} and host = ${host}`).catch(evenIfRefused)
  return provable.includes(plugin ?? '')
}

async function sent(query: Promise<unknown>): Promise<ChangeOutcome> {
  try {
    await query
    return { change: 'applied' }
  } catch (error) {
    const { errno, sqlState } = error as { errno?: number; sqlState?: string }
    const isVerdict = sqlState !== undefined && errno !== undefined && !interruptions.includes(errno)
    return isVerdict ? unchanged(refusals[errno] ?? 'refused') : { change: 'unknown', reasonClass: 'interrupted' }
  }
}

async function logIn(target: Target, login: Login): Promise<LoginOutcome> {
  if (!isName(login.username)) return { login: 'unclear', reasonClass: 'unsupported' }
  const session = await openMySql(target, login)
  if ('login' in session) return session
  try {
    // A server without accounts, an anonymous account and a proxy account let others in than the one that was named.
    const account = String(await session.within(() => only(session.connection, 'select current_user() as value')))
    return account.slice(0, account.lastIndexOf('@')) === login.username ? { login: 'accepted' } : { login: 'unclear', reasonClass: 'unverified' }
  } catch (error) {
    return judgeMySqlError(error)
  } finally {
    await session.close()
  }
}

/** @returns the one value that a statement gives; undefined: no row */
async function only(connection: Connection, sql: string): Promise<unknown> {
  const [rows] = await connection.query(sql)
  return (rows as { value: unknown }[])[0]?.value
}

const isName = (username: string): boolean => accountNameFault('mysql', username) === undefined
const quoted = (value: string): string => `'${value.replaceAll("'", "''")}'`

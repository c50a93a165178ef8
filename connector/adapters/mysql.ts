import { connect, type Socket } from 'node:net'
import { createConnection, type Connection, type ConnectionOptions } from 'mysql2/promise'
import type { ReasonClass } from '#schemas/connector-message.ts'
import { isPreparedPassword } from '../scram.ts'
import { connectionFault, tlsOptions } from '../tls.ts'
import type { Adapter, Change, ChangeOutcome, Login, LoginOutcome, Target } from './adapter.ts'

/**
 * Accounts of MySQL and MariaDB, always over TLS. The target's policy has to see the value, so it is in the statement. MySQL
 * keeps it out of its logs. MariaDB does for SET PASSWORD in the binary log, not for ALTER USER (10.11), which would also replace
 * the account's authentication plugin and needs a right that an account does not have on itself.
 */
export const mysqlAdapter: Adapter = { change, logIn }

/** For reaching the server and being judged, ms. */
const loginLimit = 5_000
/** s that the target waits for a lock, so that nothing is applied long after we stopped waiting. */
const lockSeconds = 5

interface Session {
  readonly connection: Connection
  readonly socket: Socket
}

const unchanged = (reasonClass: ReasonClass): ChangeOutcome => ({ change: 'unchanged', reasonClass })
const unclear = (reasonClass: ReasonClass): LoginOutcome => ({ login: 'unclear', reasonClass })

/** Error numbers after which the password is known to be right (expired, no such database) or was never judged. */
const judged: Readonly<Record<string, LoginOutcome>> = {
  1045: { login: 'rejected' },
  ...Object.fromEntries([1044, 1049, 1820, 1862].map((number) => [number, { login: 'accepted' } as const])),
  // Host not allowed or shut out, account locked or shut out, another way of authentication only.
  ...Object.fromEntries([1129, 1130, 1698, 3118, 3955, 4150, 4151].map((number) => [number, unclear('denied')])),
  MYSQL_CLEAR_PASSWORD_NOT_ENABLED: unclear('weak-authentication'),
  HANDSHAKE_NO_SSL_SUPPORT: unclear('weak-authentication'),
  AUTH_SWITCH_PLUGIN_ERROR: unclear('unsupported'),
}
const refusals: Readonly<Record<number, ReasonClass>> = { 1819: 'policy-refused', 3638: 'policy-refused', 1044: 'denied', 1131: 'denied', 1142: 'denied', 1227: 'denied' }
/** Shutdown and kills: they may have come after the change. */
const interruptions: readonly number[] = [1053, 1317, 1927]

async function change(target: Target, { as, username, password, beforeSend }: Change): Promise<ChangeOutcome> {
  if (!isPreparedPassword(password) || !isName(username)) return unchanged('unsupported')
  const session = await open(target, as)
  if ('login' in session) return unchanged(session.login === 'unclear' ? session.reasonClass : 'denied')
  try {
    const isMariaDb = await prepare(session.connection)
    const account = as.username === username ? undefined : `${quoted(username)}@${quoted(String(target.parameters['accountHost'] ?? '%'))}`
    const remaining = beforeSend()
    if (remaining < lockSeconds * 1_000) return unchanged('late')
    const sql = isMariaDb
      ? `set password ${account === undefined ? '' : `for ${account}`} = password(${quoted(password)})`
      : `alter user ${account ?? 'current_user()'} identified by ${quoted(password)}`
    return await sent(session.connection.query({ sql, timeout: remaining }))
  } catch (error) {
    return unchanged(connectionFault(error))
  } finally {
    await close(session)
  }
}

/** @returns whether it is a MariaDB */
async function prepare(connection: Connection): Promise<boolean> {
  const [rows] = await connection.query('select version() as version')
  const isMariaDb = /mariadb/i.test(String((rows as { version: unknown }[])[0]?.version))
  // Without backslash escapes a quote is the only character that has to be doubled.
  await connection.query(`set session sql_mode = 'NO_BACKSLASH_ESCAPES', lock_wait_timeout = ${lockSeconds}${isMariaDb ? `, max_statement_time = ${lockSeconds}` : ''}`)
  // The general log would have the value. Whether an admin may turn it off for itself is the target's affair.
  await connection.query('set session sql_log_off = 1').catch(() => {})
  return isMariaDb
}

async function sent(query: Promise<unknown>): Promise<ChangeOutcome> {
  try {
    await query
    return { change: 'applied' }
  } catch (error) {
    const { errno, sqlState } = error as { errno?: number; sqlState?: string }
    const isAnswer = sqlState !== undefined && errno !== undefined && !interruptions.includes(errno)
    return isAnswer ? unchanged(refusals[errno] ?? 'refused') : { change: 'unknown', reasonClass: 'interrupted' }
  }
}

async function logIn(target: Target, login: Login): Promise<LoginOutcome> {
  if (!isName(login.username)) return unclear('unsupported')
  const session = await open(target, login)
  if ('login' in session) return session
  try {
    // A server without accounts, an anonymous account and a proxy account let others in than the one that was named.
    const [rows] = await session.connection.query('select current_user() as account')
    const account = String((rows as { account: unknown }[])[0]?.account)
    return account.slice(0, account.lastIndexOf('@')) === login.username ? { login: 'accepted' } : unclear('unverified')
  } catch (error) {
    return judgment(error)
  } finally {
    await close(session)
  }
}

async function open(target: Target, { username, password }: Login): Promise<Session | LoginOutcome> {
  const socket = connect({ host: target.address, port: target.port, noDelay: true })
  // The driver checks the name that the socket was dialled with, which Node leaves out for an address.
  Object.assign(socket, { _host: target.address })
  const limit = setTimeout(() => socket.destroy(new Error('too late')), loginLimit)
  const ssl = { ...tlsOptions(target), verifyIdentity: true } as NonNullable<ConnectionOptions['ssl']>
  try {
    const connection = await createConnection({ user: username, password, host: target.address, stream: () => socket, ssl, flags: ['-LOCAL_FILES'] })
    connection.on('error', () => {})
    return { connection, socket }
  } catch (error) {
    socket.destroy()
    return judgment(error)
  } finally {
    clearTimeout(limit)
  }
}

async function close({ connection, socket }: Session): Promise<void> {
  const limit = setTimeout(() => socket.destroy(), 500)
  await connection.end().catch(() => {})
  clearTimeout(limit)
  socket.destroy()
}

function judgment(error: unknown): LoginOutcome {
  const { errno, code } = error as { errno?: number; code?: string }
  return judged[errno ?? ''] ?? judged[code ?? ''] ?? unclear(connectionFault(error))
}

/** Names are kept in three bytes of UTF-8 at most; what does not fit would become a question mark. */
const isName = (username: string): boolean => username.isWellFormed() && /^[^\0\u{10000}-\u{10ffff}]{1,128}$/u.test(username)
const quoted = (value: string): string => `'${value.replaceAll("'", "''")}'`

import { connect, type Socket } from 'node:net'
import { createConnection, type Connection, type ConnectionOptions } from 'mysql2/promise'
import type { ReasonClass } from '#schemas/connector-message.ts'
import type { Login, LoginOutcome, Target } from './adapters/adapter.ts'
import { connectionFault, tlsOptions } from './tls.ts'

/** A connection whose password the server has accepted. */
export interface MySqlSession {
  readonly connection: Connection
  /** Ends the connection, and so whatever is asked over it, when the work takes longer than `answerLimit`. */
  readonly within: <T>(work: () => Promise<T>) => Promise<T>
  readonly close: () => Promise<void>
}

/** For reaching the server and being judged, ms. */
const loginLimit = 5_000
/** For the answers to everything that comes before the change, ms. */
const answerLimit = 5_000

const unclear = (reasonClass: ReasonClass): LoginOutcome => ({ login: 'unclear', reasonClass })

/** What an error at or after a login says about the password, by its number or the driver's code. */
const judgments: Readonly<Record<string, LoginOutcome>> = {
  1045: { login: 'rejected' },
  // It was right: no such database, or it has expired.
  ...Object.fromEntries([1044, 1049, 1820, 1862].map((number) => [number, { login: 'accepted' } as const])),
  // It was never judged: the host may not connect, the account is locked or shut out, or has no password.
  ...Object.fromEntries([1129, 1130, 1698, 3118, 3955, 4150, 4151].map((number) => [number, unclear('denied')])),
  MYSQL_CLEAR_PASSWORD_NOT_ENABLED: unclear('weak-authentication'),
  HANDSHAKE_NO_SSL_SUPPORT: unclear('weak-authentication'),
  AUTH_SWITCH_PLUGIN_ERROR: unclear('unsupported'),
}

/** @param error of the driver, which may have the statement in it: it is judged and never repeated */
export function judgeMySqlError(error: unknown): LoginOutcome {
  const { errno, code } = error as { errno?: number; code?: string }
  return judgments[errno ?? ''] ?? judgments[code ?? ''] ?? unclear(connectionFault(error))
}

/** Dials, checks the certificate, and only then logs in. Never plain, not even on this machine. */
export async function openMySql(target: Target, { username, password }: Login): Promise<MySqlSession | LoginOutcome> {
  const socket = connect({ host: target.address, port: target.port, noDelay: true, signal: target.signal })
  // Node checks a certificate against the name that the socket was dialled with, and forgets it when that is an address.
  Object.assign(socket, { _host: target.address })
  const endAfter = (limitMs: number): NodeJS.Timeout => setTimeout(() => socket.destroy(new Error('too late')), limitMs)
  const within: MySqlSession['within'] = (work) => {
    const limit = endAfter(answerLimit)
    return work().finally(() => clearTimeout(limit))
  }
  const limit = endAfter(loginLimit)
  const ssl = { ...tlsOptions(target), verifyIdentity: true } as NonNullable<ConnectionOptions['ssl']>
  try {
    const connection = await createConnection({ user: username, password, host: target.address, stream: () => socket, ssl, flags: ['-LOCAL_FILES'] })
    connection.on('error', () => {})
    return { connection, within, close: () => close(connection, socket) }
  } catch (error) {
    socket.destroy()
    return judgeMySqlError(error)
  } finally {
    clearTimeout(limit)
  }
}

async function close(connection: Connection, socket: Socket): Promise<void> {
  const limit = setTimeout(() => socket.destroy(), 500)
  await connection.end().catch(() => {})
  clearTimeout(limit)
  socket.destroy()
}

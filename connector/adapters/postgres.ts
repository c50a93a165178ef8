import { Socket } from 'node:net'
import pg from 'pg'
import { accountNameFault } from '#schemas/account-name.ts'
import type { ReasonClass } from '#schemas/connector-message.ts'
import { isPreparedPassword, scramVerifier } from '../scram.ts'
import { connectionFault, tlsOptions } from '../tls.ts'
import type { Adapter, Change, ChangeOutcome, Login, LoginOutcome, Target } from './adapter.ts'

const connectLimit = 5_000
/** For an answer to what comes before the change, ms. */
const answerLimit = 5_000
/** ms that the server waits for the change once we are logged in; the claim must last that long. */
const idleLimit = 5_000

/** Modules that check passwords raise invalid_parameter_value (passwordcheck) or invalid_password; the statement has no other cause for them. */
const refusals: Readonly<Record<string, ReasonClass>> = { '42501': 'denied', '22023': 'policy-refused', '28P01': 'policy-refused' }

/** What of a login's dialogue decides what it proves. */
interface Dialogue {
  proved: boolean
  weak: boolean
}

/**
 * PostgreSQL roles: sets a SCRAM verifier that we computed, proves it by a fresh SCRAM login. The password itself is never
 * sent, neither in a statement nor to a server that asks for it in the clear or as MD5.
 */
export const postgresAdapter: Adapter = { change, logIn }

async function change(target: Target, { as, username, password, beforeSend }: Change): Promise<ChangeOutcome> {
  if (!isPreparedPassword(password) || accountNameFault('postgres', username) !== undefined) return { change: 'unchanged', reasonClass: 'unsupported' }
  const verifier = await scramVerifier(password)
  const { client, dialogue } = makeClient(target, as)
  try {
    const login = await judge(client.connect(), dialogue)
    if (login.login === 'rejected') return { change: 'unchanged', reasonClass: 'denied' }
    // Whoever could log in without a proof may still change roles; only what we verify later must be proven.
    if (login.login === 'unclear' && login.reasonClass !== 'unverified') return { change: 'unchanged', reasonClass: login.reasonClass }
    if (!(await fence(client))) return { change: 'unchanged', reasonClass: 'unreachable' }
    const statement = `alter role ${client.escapeIdentifier(username)} password ${client.escapeLiteral(verifier)}`
    const remaining = Math.floor(beforeSend())
    if (remaining <= idleLimit) return { change: 'unchanged', reasonClass: 'late' }
    // crash point: change due
    // One message, one implicit transaction; the server gives up by itself, so nothing is applied long after we stopped waiting.
    const text = `set statement_timeout = ${remaining}; ${statement}`
    return await sent(client.query({ text, query_timeout: remaining + 500 } as pg.QueryConfig))
  } finally {
    await close(client)
  }
}

/**
 * A connector that stands still between its last look at the clock and the send must find its session gone when it goes on. Before
 * PostgreSQL 14 a server has no such setting, and the result that comes late tells of the change.
 *
 * @returns false: no answer came, and nothing more may be asked
 */
async function fence(client: pg.Client): Promise<boolean> {
  try {
    await client.query(`set idle_session_timeout = ${idleLimit}`)
    return true
  } catch (error) {
    return error instanceof pg.DatabaseError
  }
}

async function sent(query: Promise<unknown>): Promise<ChangeOutcome> {
  try {
    await query
    return { change: 'applied' }
  } catch (error) {
    // An ERROR rolled the one statement back; anything else (the connection or the server ended) proves nothing.
    if (error instanceof pg.DatabaseError && error.severity === 'ERROR') {
      return { change: 'unchanged', reasonClass: refusals[error.code ?? ''] ?? 'refused' }
    }
    return { change: 'unknown', reasonClass: 'interrupted' }
  }
}

async function logIn(target: Target, login: Login): Promise<LoginOutcome> {
  if (accountNameFault('postgres', login.username) !== undefined) return { login: 'unclear', reasonClass: 'unsupported' }
  const { client, dialogue } = makeClient(target, login)
  try {
    return await judge(client.connect(), dialogue)
  } finally {
    await close(client)
  }
}

async function judge(connecting: Promise<unknown>, dialogue: Dialogue): Promise<LoginOutcome> {
  try {
    await connecting
    // A server that asks for no password (trust, peer, cert) accepts everything.
    return dialogue.proved ? { login: 'accepted' } : { login: 'unclear', reasonClass: 'unverified' }
  } catch (error) {
    // The password was proven; what failed came later (no such database, too many connections).
    if (dialogue.proved) return { login: 'accepted' }
    if (dialogue.weak) return { login: 'unclear', reasonClass: 'weak-authentication' }
    if (!(error instanceof pg.DatabaseError)) return { login: 'unclear', reasonClass: connectionFault(error) }
    return error.code === '28P01' ? { login: 'rejected' } : { login: 'unclear', reasonClass: error.code?.startsWith('28') ? 'denied' : 'unreachable' }
  }
}

function makeClient(target: Target, login: Login): { client: pg.Client; dialogue: Dialogue } {
  const client = new pg.Client({
    host: target.address,
    port: target.port,
    user: login.username,
    password: login.password,
    database: typeof target.parameters['database'] === 'string' ? target.parameters['database'] : 'postgres',
    // A plain connection must stay on this machine; elsewhere the target shows a certificate that we check.
    ssl: isLoopback(target.address) && target.parameters['ca'] === undefined ? false : tlsOptions(target),
    connectionTimeoutMillis: connectLimit,
    query_timeout: answerLimit,
    stream: () => new Socket({ signal: target.signal }),
    application_name: 'leasehold-connector',
  })
  client.on('error', () => {})
  const dialogue: Dialogue = { proved: false, weak: false }
  const { connection } = client as unknown as { connection: NodeJS.EventEmitter & { stream: { destroy(): void } } }
  connection.on('authenticationSASLFinal', () => {
    dialogue.proved = true
  })
  for (const event of ['authenticationCleartextPassword', 'authenticationMD5Password']) {
    // First in line: the stream is gone before the driver could answer with the password.
    connection.prependListener(event, () => {
      dialogue.weak = true
      connection.stream.destroy()
    })
  }
  return { client, dialogue }
}

const isLoopback = (address: string): boolean => /^(127\.\d+\.\d+\.\d+|::1|localhost)$/.test(address)

async function close(client: pg.Client): Promise<void> {
  const { connection } = client as unknown as { connection: { stream: { destroy(): void } } }
  const limit = setTimeout(() => connection.stream.destroy(), 500)
  await client.end().catch(() => {})
  clearTimeout(limit)
}

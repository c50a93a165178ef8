import { connect as connectPlain, type Socket } from 'node:net'
import { connect as connectSecurely } from 'node:tls'
import { Attribute, Change as Modification, Client, InvalidCredentialsError, ProtocolError, ResultCodeError } from 'ldapts'
import type { ReasonClass } from '#schemas/connector-message.ts'
import { isPreparedPassword } from '../scram.ts'
import { connectionFault, tlsOptions } from '../tls.ts'
import type { Adapter, Change, ChangeOutcome, Login, LoginOutcome, Target } from './adapter.ts'

/**
 * Accounts of an LDAP directory, always over TLS: changed by the password modify operation (RFC 3062), by which the directory
 * hashes the value and holds it against its policy; where it has none, by a new userPassword. A bind (RFC 4513 5.1.3) is the proof.
 */
export const ldapAdapter: Adapter = { change, logIn }

/** For reaching the server and being judged, ms. */
const loginLimit = 5_000
const passwordModify = '1.3.6.1.4.1.4203.1.11.1'
const refusals: Readonly<Record<number, ReasonClass>> = { 8: 'denied', 19: 'policy-refused', 49: 'denied', 50: 'denied', 51: 'unreachable', 52: 'unreachable' }

interface Session {
  readonly client: Client
  /** Resets the connection, so that the kernel forgets what it has not sent yet. */
  readonly abort: () => void
}

const unchanged = (reasonClass: ReasonClass): ChangeOutcome => ({ change: 'unchanged', reasonClass })
const unclear = (reasonClass: ReasonClass): LoginOutcome => ({ login: 'unclear', reasonClass })

async function change(target: Target, { as, username, password, beforeSend }: Change): Promise<ChangeOutcome> {
  const dn = dnOf(target, username)
  const isSelf = as.username === username
  const by = isSelf ? dn : as.username
  if (!isPreparedPassword(password) || dn === undefined || by === undefined) return unchanged('unsupported')
  const session = open(target)
  try {
    const login = (await within(loginLimit, session, bind(session.client, target, { username: by, password: as.password }))) ?? unclear('unreachable')
    if (login.login !== 'accepted') return unchanged(login.login === 'unclear' ? login.reasonClass : 'denied')
    // Asked before, because a second try after a refusal would be a second change.
    const extensions = await within(loginLimit, session, extensionsOf(session.client))
    if (extensions === undefined) return unchanged('unreachable')
    const remaining = beforeSend()
    if (remaining <= 0) return unchanged('late')
    const request = extensions.includes(passwordModify)
      ? session.client.exop(passwordModify, modifyValue([dn, isSelf ? as.password : undefined, password]))
      : session.client.modify(dn, new Modification({ operation: 'replace', modification: new Attribute({ type: 'userPassword', values: [password] }) }))
    return (await within(remaining, session, sent(request))) ?? { change: 'unknown', reasonClass: 'interrupted' }
  } finally {
    session.abort()
  }
}

async function sent(request: Promise<unknown>): Promise<ChangeOutcome> {
  try {
    await request
    return { change: 'applied' }
  } catch (error) {
    // `other` (80) says nothing of how far it came.
    if (!(error instanceof ResultCodeError) || error.code === 80) return { change: 'unknown', reasonClass: 'interrupted' }
    return unchanged(refusals[error.code] ?? 'refused')
  }
}

async function logIn(target: Target, { username, password }: Login): Promise<LoginOutcome> {
  const dn = dnOf(target, username)
  if (dn === undefined) return unclear('unsupported')
  const session = open(target)
  try {
    return (await within(loginLimit, session, bind(session.client, target, { username: dn, password }))) ?? unclear('unreachable')
  } finally {
    session.abort()
  }
}

async function bind(client: Client, target: Target, { username: dn, password }: Login): Promise<LoginOutcome> {
  // A bind without a name or without a password succeeds everywhere and proves nothing (RFC 4513 5.1.1, 5.1.2).
  if (dn === '' || password === '') return unclear('unverified')
  try {
    if (target.parameters['startTls'] === true) await client.startTLS(tlsOptions(target))
  } catch (error) {
    return unclear(error instanceof ResultCodeError ? 'weak-authentication' : connectionFault(error))
  }
  try {
    await client.bind(dn, password)
    return { login: 'accepted' }
  } catch (error) {
    if (error instanceof InvalidCredentialsError) return { login: 'rejected' }
    return unclear(error instanceof ResultCodeError ? (error instanceof ProtocolError ? 'unsupported' : 'denied') : connectionFault(error))
  }
}

function open(target: Target): Session {
  const { address: host, port } = target
  const isPlainFirst = target.parameters['startTls'] === true
  let socket: Socket | undefined
  // The library dials again by itself when a connection ends: nobody would be logged in there, and after StartTLS it would be plain.
  const dialOnce = (): never => {
    if (socket !== undefined) throw new Error('the connection ended')
    socket = connectPlain({ host, port, noDelay: true })
    return (isPlainFirst ? socket : connectSecurely({ ...tlsOptions(target), socket })) as never
  }
  const dialing = isPlainFirst ? { createConnection: dialOnce } : { createSecureConnection: dialOnce }
  const client = new Client({ url: isPlainFirst ? 'ldap://target' : 'ldaps://target', ...dialing })
  return { client, abort: () => void socket?.resetAndDestroy() }
}

async function extensionsOf(client: Client): Promise<readonly string[]> {
  const root = await client.search('', { scope: 'base', attributes: ['supportedExtension'] }).catch(() => undefined)
  return [root?.searchEntries[0]?.['supportedExtension'] ?? []].flat().map(String)
}

/** @returns undefined: it took longer than `limitMs`, and the connection is gone */
async function within<T>(limitMs: number, { abort }: Session, work: Promise<T>): Promise<T | undefined> {
  let limit: NodeJS.Timeout | undefined
  const tooLong = new Promise<undefined>((resolve) => {
    limit = setTimeout(() => (abort(), resolve(undefined)), limitMs)
  })
  return Promise.race([work, tooLong]).finally(() => clearTimeout(limit))
}

/** PasswdModifyRequestValue: SEQUENCE { userIdentity [0], oldPasswd [1], newPasswd [2] }, each of them optional. */
function modifyValue(fields: readonly (string | undefined)[]): Buffer {
  return element(0x30, Buffer.concat(fields.flatMap((field, index) => (field === undefined ? [] : [element(0x80 + index, Buffer.from(field))]))))
}

function element(tag: number, body: Buffer): Buffer {
  const length = body.length < 0x80 ? [body.length] : [0x82, body.length >> 8, body.length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...length]), body])
}

/** RFC 4514: whatever could mean something in a DN is written as its code. @returns undefined for a name that UTF-8 cannot carry */
function dnOf({ parameters: { accountDn } }: Target, username: string): string | undefined {
  if (!username.isWellFormed() || username === '') return undefined
  if (typeof accountDn !== 'string') return username
  const escaped = username.replace(/[^\w.@\u{80}-\u{10ffff}-]/gu, (character) => `\\${(character.codePointAt(0) as number).toString(16).padStart(2, '0')}`)
  return accountDn.replace('{username}', () => escaped)
}

import { Attribute, Change as Modification, ResultCodeError, type Client } from 'ldapts'
import type { ReasonClass } from '#schemas/connector-message.ts'
import { ldapLimit, openLdap, type LdapSession } from '../ldap-session.ts'
import { isPreparedPassword } from '../scram.ts'
import type { Adapter, Change, ChangeOutcome, Login, LoginOutcome, Target } from './adapter.ts'

/**
 * Accounts of an LDAP directory, always over TLS: changed by the password modify operation (RFC 3062), by which the directory
 * hashes the value and holds it against its rules; where it has none, by a new userPassword. A bind (RFC 4513 5.1.3) is the proof.
 */
export const ldapAdapter: Adapter = { change, logIn }

const passwordModify = '1.3.6.1.4.1.4203.1.11.1'

/** Result codes of RFC 4511 4.1.9. */
const refusals: Readonly<Record<number, ReasonClass>> = { 8: 'denied', 19: 'policy-refused', 49: 'denied', 50: 'denied', 51: 'unreachable', 52: 'unreachable' }

const unchanged = (reasonClass: ReasonClass): ChangeOutcome => ({ change: 'unchanged', reasonClass })
const unknown: ChangeOutcome = { change: 'unknown', reasonClass: 'interrupted' }

async function change(target: Target, { as, username, password, beforeSend }: Change): Promise<ChangeOutcome> {
  const dn = dnOf(target, username)
  if (!isPreparedPassword(password) || dn === undefined) return unchanged('unsupported')
  const isSelf = as.username === username
  const session = openLdap(target)
  try {
    const login = await session.bind(isSelf ? dn : as.username, as.password)
    if (login.login !== 'accepted') return unchanged(login.login === 'unclear' ? login.reasonClass : 'denied')
    // Asked before, because a second try after a refusal would be a second change.
    const extensions = await extensionsOf(session)
    if (extensions === undefined) return unchanged('unreachable')
    const request = extensions.includes(passwordModify) ? modifyPassword(dn, password, isSelf ? as.password : undefined) : replacePassword(dn, password)
    const remaining = beforeSend()
    if (remaining <= 0) return unchanged('late')
    return (await session.within(remaining, (client) => sent(request(client)))) ?? unknown
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
    if (!(error instanceof ResultCodeError) || error.code === 80) return unknown
    return unchanged(refusals[error.code] ?? 'refused')
  }
}

async function logIn(target: Target, { username, password }: Login): Promise<LoginOutcome> {
  const dn = dnOf(target, username)
  if (dn === undefined) return { login: 'unclear', reasonClass: 'unsupported' }
  const session = openLdap(target)
  return session.bind(dn, password).finally(session.abort)
}

/** @returns undefined: no answer came; empty: it does not say */
const extensionsOf = ({ within }: LdapSession): Promise<readonly string[] | undefined> =>
  within(ldapLimit, async (client) => {
    try {
      const { searchEntries } = await client.search('', { scope: 'base', attributes: ['supportedExtension'] })
      return [searchEntries[0]?.['supportedExtension'] ?? []].flat().map(String)
    } catch (error) {
      return error instanceof ResultCodeError ? [] : undefined
    }
  })

type Request = (client: Client) => Promise<unknown>

const replacePassword = (dn: string, password: string): Request => {
  const modification = new Attribute({ type: 'userPassword', values: [password] })
  return (client) => client.modify(dn, new Modification({ operation: 'replace', modification }))
}

/** PasswdModifyRequestValue: SEQUENCE { userIdentity [0], oldPasswd [1], newPasswd [2] }, each of them optional. */
const modifyPassword = (dn: string, password: string, old: string | undefined): Request => {
  const fields = [dn, old, password].flatMap((field, index) => (field === undefined ? [] : [element(0x80 + index, Buffer.from(field))]))
  return (client) => client.exop(passwordModify, element(0x30, Buffer.concat(fields)))
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

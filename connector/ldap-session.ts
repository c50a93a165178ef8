import { connect as connectPlain, type Socket } from 'node:net'
import { connect as connectSecurely } from 'node:tls'
import { Client, InvalidCredentialsError, ResultCodeError } from 'ldapts'
import type { ReasonClass } from '#schemas/connector-message.ts'
import type { LoginOutcome, Target } from './adapters/adapter.ts'
import { connectionFault, tlsOptions } from './tls.ts'

/** One connection to a directory, dialled with the first request and never again. */
export interface LdapSession {
  /** At most one attempt; TLS comes before anything is said. */
  readonly bind: (dn: string, password: string) => Promise<LoginOutcome>
  /** @returns undefined: it took longer, and the connection is gone */
  readonly within: <T>(limitMs: number, work: (client: Client) => Promise<T>) => Promise<T | undefined>
  /** Resets the connection, so that the kernel forgets what it has not sent yet. */
  readonly abort: () => void
}

/** For reaching the server and being judged, ms. */
export const ldapLimit = 5_000

const unclear = (reasonClass: ReasonClass): LoginOutcome => ({ login: 'unclear', reasonClass })

export function openLdap(target: Target): LdapSession {
  const isPlainFirst = target.parameters['startTls'] === true
  let socket: Socket | undefined
  // The library dials again by itself when a connection ends: nobody would be logged in there, and after StartTLS it would be plain.
  const dialOnce = (): never => {
    if (socket !== undefined) throw new Error('the connection ended')
    socket = connectPlain({ host: target.address, port: target.port, noDelay: true, signal: target.signal })
    return (isPlainFirst ? socket : connectSecurely({ ...tlsOptions(target), socket })) as never
  }
  const dialing = isPlainFirst ? { createConnection: dialOnce } : { createSecureConnection: dialOnce }
  const client = new Client({ url: isPlainFirst ? 'ldap://target' : 'ldaps://target', ...dialing })
  const abort = (): void => void socket?.resetAndDestroy()
  const within: LdapSession['within'] = (limitMs, work) => {
    let limit: NodeJS.Timeout | undefined
    const tooLong = new Promise<undefined>((resolve) => {
      limit = setTimeout(() => {
        abort()
        resolve(undefined)
      }, limitMs)
    })
    return Promise.race([work(client), tooLong]).finally(() => clearTimeout(limit))
  }
  const bind: LdapSession['bind'] = async (dn, password) => {
    // A bind without a name or without a password succeeds in many places and proves nothing (RFC 4513 5.1.1, 5.1.2).
    if (dn === '' || password === '') return unclear('unverified')
    return (await within(ldapLimit, () => bindOnce(client, target, dn, password))) ?? unclear('unreachable')
  }
  return { bind, within, abort }
}

async function bindOnce(client: Client, target: Target, dn: string, password: string): Promise<LoginOutcome> {
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
    return unclear(error instanceof ResultCodeError ? 'denied' : connectionFault(error))
  }
}

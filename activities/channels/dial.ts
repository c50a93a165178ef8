import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls, rootCertificates } from 'node:tls'
import { sendLimit } from '#schemas/rules/notification.ts'
import { createLookup, type Lookup } from './names.ts'
import type { MayReach } from './networks.ts'

/** How receivers are reached. */
export interface Reach {
  readonly mayReach: MayReach
  /** Authorities that are believed besides those that come with Node, PEM. */
  readonly ca?: string | undefined
  /** Names to addresses; absent: as this machine knows them. */
  readonly lookup?: Lookup
}

/** The receiver is where nothing may be sent. */
export class RefusedAddress extends Error {
  readonly code = 'address-refused'

  constructor() {
    super('the receiver has an address that notices are not sent to')
    this.name = 'RefusedAddress'
  }
}

/** The receiver has hung up before it said what it has to. */
export class ConnectionEnded extends Error {
  readonly code = 'connection-ended'

  constructor() {
    super('the receiver has ended the connection')
    this.name = 'ConnectionEnded'
  }
}

/** An address has used up its share of the time. */
class SilentAddress extends Error {
  readonly code = 'ETIMEDOUT'

  constructor() {
    super('the address of the receiver does not answer')
    this.name = 'SilentAddress'
  }
}

/** An address of IPv6 as URLs write it, without its brackets. */
const bare = (host: string): string => host.replace(/^\[|\]$/g, '')

/** Options of TLS to a receiver: certificates and the host name are checked. */
export const tlsOptions = (host: string, { ca }: Pick<Reach, 'ca'>) => ({
  ca: ca === undefined ? [...rootCertificates] : [...rootCertificates, ca],
  minVersion: 'TLSv1.2' as const,
  rejectUnauthorized: true,
  ...(isIP(host) === 0 ? { servername: host } : {}),
})

/** One for the process: its look-ups by the system wait for each other. */
const namesOfMachine = createLookup()

/**
 * The addresses of a host, resolved once; whoever dials dials one of these, so that a name cannot become another address
 * between the check and the connection. One forbidden address among them is enough: who answers so wants something. Whether a
 * name of an inside network exists is nobody's business: one without addresses is refused like one that has them.
 *
 * @throws RefusedAddress
 */
async function resolve(host: string, { mayReach, lookup = namesOfMachine }: Reach, signal: AbortSignal): Promise<readonly string[]> {
  const name = bare(host)
  const addresses = isIP(name) === 0 ? (await lookup(name, signal)).map(({ address }) => address) : [name]
  if (addresses.length === 0 || !addresses.every(mayReach)) throw new RefusedAddress()
  return addresses
}

/**
 * A connection to a host whose address may be reached. Its addresses share the time there is, so that one that drops everything
 * leaves some for the next.
 *
 * @param to `tls`: encrypted from the first byte
 * @param signal ends it, and the attempts
 * @throws RefusedAddress, or the error of the last address
 */
export async function dial(to: { readonly host: string; readonly port: number; readonly tls: boolean }, reach: Reach, signal: AbortSignal): Promise<Socket> {
  const host = bare(to.host)
  const addresses = await resolve(host, reach, signal)
  let failure: unknown
  for (const address of addresses) {
    signal.throwIfAborted()
    try {
      return await open(address, host, to, reach, { signal, share: sendLimit / addresses.length })
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

/** TLS over a connection that began without; it ends with that connection. What was read of it before is not part of it. */
export function encrypt(socket: Socket, host: string, reach: Pick<Reach, 'ca'>): Promise<Socket> {
  // `host` is what an address without a name is checked against; nothing is dialled.
  return ready(connectTls({ socket, host: bare(host), ...tlsOptions(bare(host), reach) }), 'secureConnect')
}

/** @param within `signal` ends the connection whenever it comes, `share` (ms) only what is none yet */
function open(
  address: string,
  host: string,
  { port, tls }: { readonly port: number; readonly tls: boolean },
  reach: Reach,
  within: { readonly signal: AbortSignal; readonly share: number },
): Promise<Socket> {
  const socket = tls ? connectTls({ host: address, port, ...tlsOptions(host, reach) }) : connect({ host: address, port })
  const { signal, share } = within
  const abort = () => socket.destroy(signal.reason as Error)
  signal.addEventListener('abort', abort, { once: true })
  socket.once('close', () => signal.removeEventListener('abort', abort))
  const timer = setTimeout(() => socket.destroy(new SilentAddress()), share)
  return ready(socket, tls ? 'secureConnect' : 'connect').finally(() => clearTimeout(timer))
}

function ready(socket: Socket, event: 'connect' | 'secureConnect'): Promise<Socket> {
  return new Promise((done, failed) => {
    // An error after the connection is there is told to whoever uses it; here it must only not end the process.
    socket.on('error', failed)
    socket.once('close', () => failed(new ConnectionEnded()))
    socket.once(event, () => done(socket))
  })
}

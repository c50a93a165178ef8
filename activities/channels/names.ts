import { Resolver, lookup as systemLookup } from 'node:dns/promises'
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'

interface Address {
  readonly address: string
}

/** The addresses of a host. `signal` ends the search; what nobody knows, or not in time, has none. */
export type Lookup = (host: string, signal: AbortSignal) => Promise<readonly Address[]>

interface NameSources {
  /** Name servers as `address:port`; absent: those of the system. */
  readonly servers?: readonly string[]
  /** What the system knows besides: search domains, names of the local network. */
  readonly system?: (host: string) => Promise<readonly Address[]>
}

/** A name server has so long to answer, in ms; c-ares doubles it in the second round. */
const patience = { timeout: 2_000, tries: 2 }

/**
 * Names to addresses: the file of this machine, then the name servers, then whatever else the system knows. Receivers choose who
 * answers for their names, and slowly if they like. A look-up of the system cannot be cancelled and holds one of the few threads
 * that the whole process has for such: it comes last, one at a time, and not for what a name server has kept waiting.
 */
export function createLookup({ servers, system = (host) => systemLookup(host, { all: true, verbatim: true }) }: NameSources = {}): Lookup {
  let turn: Promise<readonly Address[]> = Promise.resolve([])
  return async (host, signal) => {
    const own = await fromHostsFile(host)
    if (own.length > 0) return own
    const found = await fromNameServers(host, servers, signal)
    return found === 'unknown' ? Promise.race([fromSystem(host, signal), nothing(signal)]) : found
  }

  function fromSystem(host: string, signal: AbortSignal): Promise<readonly Address[]> {
    turn = turn.then(() => (signal.aborted ? [] : system(host))).catch(() => [])
    return turn
  }
}

const nothing = (signal: AbortSignal) => new Promise<[]>((resolve) => signal.addEventListener('abort', () => resolve([]), { once: true }))

/** `localhost`, and what the operator has written down: it goes before the name servers, as for every program. */
async function fromHostsFile(host: string): Promise<readonly Address[]> {
  const text = await readFile('/etc/hosts', 'utf8').catch(() => '')
  return text.split('\n').flatMap((line) => {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().toLowerCase().split(/\s+/)
    return isIP(address) !== 0 && names.includes(host.toLowerCase()) ? [{ address }] : []
  })
}

/** @returns `unknown` when they have said that they know no address; none when they have not answered */
async function fromNameServers(host: string, servers: readonly string[] | undefined, signal: AbortSignal): Promise<readonly Address[] | 'unknown'> {
  if (signal.aborted) return []
  const resolver = new Resolver(patience)
  if (servers !== undefined) resolver.setServers(servers)
  const cancel = () => resolver.cancel()
  signal.addEventListener('abort', cancel, { once: true })
  const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)])
  signal.removeEventListener('abort', cancel)
  const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
  if (found.length > 0) return found.map((address) => ({ address }))
  const late = answers.some((answer) => answer.status === 'rejected' && ['ETIMEOUT', 'ECANCELLED'].includes((answer.reason as { code: string }).code))
  return late ? [] : 'unknown'
}

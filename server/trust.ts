import { Agent, fetch as fetchWith } from 'undici'

/** Whom this process believes, on every link of ours. */
export interface Trust {
  /** Certificate authorities, PEM; undefined: those that come with Node. */
  readonly ca: string | undefined
  /** fetch over TLS 1.3 with certificates checked; plain for `http:` URLs, which the configuration allows in dev mode on loopback. */
  readonly fetch: typeof fetch
}

export function createTrust(ca?: string): Trust {
  const dispatcher = new Agent({ connect: { minVersion: 'TLSv1.3', rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }) } })
  // Node's own fetch takes no certificates, and its types are those of another version of the same library.
  const reach = (...[input, init]: Parameters<typeof fetchWith>) => fetchWith(input, { ...init, dispatcher })
  return { ca, fetch: reach as unknown as typeof fetch }
}

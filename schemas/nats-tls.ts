/** Options of the NATS driver for one server address. */
interface NatsTls {
  readonly tls?: { readonly ca?: string; readonly host: string; readonly minVersion: 'TLSv1.3'; readonly rejectUnauthorized: true }
}

/**
 * With `tls://` the connection is TLS 1.3 with the certificate and the host name checked, also when the server offers none: the
 * driver then refuses. `host` is what an address without a name is checked against; the driver passes none.
 *
 * @param ca certificate authorities, PEM; undefined: those that come with Node
 */
export function natsTls(natsUrl: string, ca: string | undefined): NatsTls {
  const { protocol, hostname } = new URL(natsUrl)
  if (protocol !== 'tls:') return {}
  const host = hostname.replace(/^\[|\]$/g, '')
  return { tls: { host, minVersion: 'TLSv1.3', rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }) } }
}

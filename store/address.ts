import type pg from 'pg'

/** Where PostgreSQL is and how its server is checked. */
export interface PostgresAddress {
  /** postgres://host:port/database, over TLS with `?sslmode=verify-full`, which must be its only parameter. */
  readonly url: string
  /** Certificate authorities, PEM; absent: those that come with Node. */
  readonly ca?: string | undefined
}

/**
 * Options of the driver. With `sslmode=verify-full` the connection is TLS 1.3 with the certificate and the host name checked,
 * or there is none; the driver's own reading of `sslmode` and of the environment is not asked.
 *
 * @param login replaces the user of the URL
 */
export function clientOptions({ url, ca }: PostgresAddress, login?: { readonly user: string; readonly password: string }): pg.ClientConfig {
  const address = new URL(url)
  const checked = address.searchParams.get('sslmode') === 'verify-full'
  address.search = ''
  if (login !== undefined) {
    // A user in the connection string, even an empty one, wins over the driver's own options.
    address.username = login.user
    address.password = encodeURIComponent(login.password)
  }
  const tls = { minVersion: 'TLSv1.3' as const, rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }) }
  return { connectionString: address.href, ssl: checked ? tls : false }
}

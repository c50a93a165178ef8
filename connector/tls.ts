import { isIP } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import type { ReasonClass } from '#schemas/connector-message.ts'
import type { Target } from './adapters/adapter.ts'

/**
 * How a target proves who it is: by a certificate for its very address (RFC 9525), from an authority of `parameters.ca` (PEM) or,
 * without that, one that comes with Node.
 */
export const tlsOptions = ({ address, parameters: { ca } }: Target): ConnectionOptions => ({
  // An address is no server name (RFC 6066), and without `host` it would be checked against `localhost`.
  host: address,
  ...(isIP(address) === 0 ? { servername: address } : {}),
  ...(typeof ca === 'string' ? { ca } : {}),
  rejectUnauthorized: true,
  minVersion: 'TLSv1.2',
})

/** Why a connection could not be made. Drivers replace the codes of such errors, but not their words, which are OpenSSL's and Node's. */
export const connectionFault = (error: unknown): ReasonClass =>
  error instanceof Error && /certificate|altnames/i.test(error.message) ? 'certificate-mismatch' : 'unreachable'

import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import type { HttpBindings } from '@hono/node-server'
import { LeaseholdError } from '#schemas/errors.ts'

type Incoming = HttpBindings['incoming'] | undefined

const single = new Set(['authorization', 'dpop', 'idempotency-key', 'if-match'])

/** Node drops what is beyond its own limit without a word; requests of ours need a tenth of this. */
const mostHeaders = 100

/**
 * Of these headers a request has one, and of all of them not many. Node would pass on the first of two and drop the other; what stands between us and the
 * caller might have judged by that other one.
 *
 * @throws LeaseholdError `invalid-request`
 */
export function refuseOddHeaders(incoming: Incoming): void {
  const names = (incoming as IncomingMessage | undefined)?.rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase()) ?? []
  const seen = names.filter((name) => single.has(name))
  if (names.length > mostHeaders || new Set(seen).size < seen.length) throw new LeaseholdError('invalid-request')
}

/** base64url SHA-256 of the certificate that the peer of this very connection proved to own (RFC 8705 section 3.1). */
export function peerCertificate(incoming: Incoming): string | undefined {
  const { socket } = (incoming ?? {}) as Partial<IncomingMessage>
  const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined
  return certificate && createHash('sha256').update(certificate.raw).digest('base64url')
}

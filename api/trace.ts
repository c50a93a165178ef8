import { randomBytes } from 'node:crypto'
import { isIP } from 'node:net'

/** What ties a request to its audit events, its log lines and its answer. */
export interface Trace {
  /** W3C trace id (32 hex digits): taken over from `traceparent`, else new. */
  readonly traceId: string
  /** `X-Correlation-ID` of the caller when it is well-formed, else the trace id. */
  readonly correlationId: string
  readonly ip?: string | undefined
  readonly userAgent?: string | undefined
}

const traceparent = /^[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/
const correlation = /^[\w.:/+=@-]{1,128}$/

/** @param ip address of the peer of the connection; forwarding headers are never believed */
export function traceOf(headers: Headers, ip: string | undefined): Trace {
  const traceId = traceparent.exec(headers.get('traceparent') ?? '')?.[1] ?? randomBytes(16).toString('hex')
  const asked = headers.get('x-correlation-id') ?? ''
  const userAgent = headers
    .get('user-agent')
    ?.replace(/[^\x20-\x7e]/g, '?')
    .slice(0, 256)
  return { traceId, correlationId: correlation.test(asked) ? asked : traceId, ip: plainAddress(ip), userAgent }
}

/** An address in the one spelling that the log and policies know; what cannot be one is not known. */
function plainAddress(ip: string | undefined): string | undefined {
  const plain = ip?.replace(/^::ffff:(?=[\d.]+$)/i, '').replace(/%.*$/, '')
  return plain !== undefined && isIP(plain) !== 0 ? plain : undefined
}

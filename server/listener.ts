import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Duplex } from 'node:stream'
import { getRequestListener, RequestError } from '@hono/node-server'
import { answerHeaders } from '#api/answer-headers.ts'
import type { App } from '#api/app.ts'

export interface Certificate {
  /** PEM, with the chain up to the authority. */
  readonly cert: string
  /** PEM. */
  readonly key: string
}

export interface Place {
  readonly host: string
  readonly port: number
  /** Shared with other processes that ask for the same (SO_REUSEPORT). */
  readonly shared: boolean
}

/** Who sends slowly holds nothing for long: a request that has not arrived after `requestTimeout` is cut off within a second. */
const defaultLimits = {
  maxHeaderSize: 16_384,
  // A request without Host is refused with our headers, not with Node's.
  requireHostHeader: false,
  keepAliveTimeout: 65_000,
  headersTimeout: 10_000,
  requestTimeout: 15_000,
  connectionsCheckingInterval: 1_000,
}

/**
 * Listens for the API.
 *
 * @param certificate undefined: plain HTTP, for dev mode on loopback
 * @param limits ms and bytes of what callers may send
 */
export function listen(fetch: App['fetch'], { host, port, shared }: Place, certificate?: Certificate, limits = defaultLimits): Promise<Server> {
  const answer = getRequestListener(fetch, { overrideGlobalObjects: false, errorHandler: refuseUnroutable })
  const server = certificate === undefined ? createServer(limits, answer) : createTlsServer({ ...limits, ...certificate, ...tlsRules }, answer)
  server.on('clientError', refuseUnreadable)
  server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) =>
    response.writeHead(417, { ...answerHeaders, connection: 'close' }).end(),
  )
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, host, reusePort: shared }, () => resolve(server))
  })
}

/** A request that the API never sees, for want of a usable Host header. */
const refuseUnroutable = (error: unknown): Response => new Response(null, { status: error instanceof RequestError ? 400 : 500, headers: answerHeaders })

const statusOf: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

/** What is no HTTP gets no further than here, and an answer like any other. */
function refuseUnreadable(error: Error & { readonly code?: string }, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy()
  const headers = { ...answerHeaders, connection: 'close', 'content-length': '0' }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${statusOf[error.code ?? ''] ?? '400 Bad Request'}\r\n${lines.join('')}\r\n`)
}

/**
 * A certificate of a caller is asked for and none is required. It proves nothing by being there: it only is what a token may be
 * bound to (RFC 8705), self-signed ones included, so the handshake does not judge it.
 */
const tlsRules = { minVersion: 'TLSv1.3', requestCert: true, rejectUnauthorized: false } as const

import { createServer, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { getRequestListener } from '@hono/node-server'
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

const limits = { keepAliveTimeout: 65_000, headersTimeout: 10_000, requestTimeout: 30_000 }

/**
 * Listens for the API.
 *
 * @param certificate undefined: plain HTTP, for dev mode on loopback
 */
export function listen(fetch: App['fetch'], { host, port, shared }: Place, certificate?: Certificate): Promise<Server> {
  const answer = getRequestListener(fetch, { overrideGlobalObjects: false })
  const server = certificate === undefined ? createServer(limits, answer) : createTlsServer({ ...limits, ...certificate, ...tlsRules }, answer)
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, host, reusePort: shared }, () => resolve(server))
  })
}

/**
 * A certificate of a caller is asked for and none is required. It proves nothing by being there: it only is what a token may be
 * bound to (RFC 8705), self-signed ones included, so the handshake does not judge it.
 */
const tlsRules = { minVersion: 'TLSv1.3', requestCert: true, rejectUnauthorized: false } as const

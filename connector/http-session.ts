import { Agent, request as makeRequest } from 'node:http'
import { connect as connectPlain } from 'node:net'
import { connect as connectSecurely, type TLSSocket } from 'node:tls'
import type { ReasonClass } from '#schemas/connector-message.ts'
import type { Target } from './adapters/adapter.ts'
import type { HttpRequest } from './http-template.ts'
import { connectionFault, tlsOptions } from './tls.ts'

/** One TLS connection to an HTTP server (HTTP/1.1, RFC 9112), dialled once and never again. */
export interface HttpSession {
  /**
   * Sends one request. Redirects are not followed: an answer is judged by its status alone, its words are read and forgotten.
   *
   * @returns undefined: no answer within `limitMs`; the connection is reset, so that the kernel forgets what it has not sent yet
   */
  readonly send: (request: HttpRequest, limitMs: number) => Promise<number | undefined>
  readonly close: () => void
}

/** For reaching the server and its certificate, ms. */
const dialLimit = 5_000
/** Bytes of an answer that are read before the connection is given up. */
const mostBytes = 65_536

/** Dials and checks the certificate, before anything is said. @returns why not */
export async function openHttps(target: Target): Promise<HttpSession | ReasonClass> {
  const { address, port, signal } = target
  const plain = connectPlain({ host: address, port, noDelay: true, signal })
  const socket = connectSecurely({ ...tlsOptions(target), socket: plain, ALPNProtocols: ['http/1.1'] })
  const reset = (): void => void plain.resetAndDestroy()
  const fault = await handshake(socket, plain)
  if (fault !== undefined) {
    reset()
    return fault
  }
  const agent = oneConnection(socket)
  const host = `${address.includes(':') ? `[${address}]` : address}:${port}`
  const send: HttpSession['send'] = ({ method, path, headers, body }, limitMs) =>
    new Promise((resolve) => {
      let status: number | undefined
      const settle = (isOver: boolean): void => {
        clearTimeout(limit)
        if (!isOver) reset()
        resolve(status)
      }
      const limit = setTimeout(() => settle(false), limitMs)
      const own = { host, 'user-agent': 'leasehold-connector', ...(body === '' && method === 'GET' ? {} : { 'content-length': Buffer.byteLength(body) }) }
      const sent = makeRequest({ agent, method, path, headers: { ...headers, ...own }, maxHeaderSize: 16_384 }, (response) => {
        status = response.statusCode
        let bytes = 0
        response.on('data', (part: Buffer) => {
          bytes += part.length
          if (bytes > mostBytes) settle(false)
        })
        response.once('end', () => settle(true))
        response.once('close', () => settle(true))
        response.on('error', () => settle(false))
      })
      sent.on('error', () => settle(false))
      sent.end(body)
    })
  return { send, close: () => void (agent.destroy(), socket.destroy()) }
}

/** @returns undefined: the server is who it should be */
function handshake(socket: TLSSocket, plain: NodeJS.EventEmitter): Promise<ReasonClass | undefined> {
  return new Promise((resolve) => {
    const limit = setTimeout(() => resolve('unreachable'), dialLimit)
    const settle = (fault: ReasonClass | undefined): void => {
      clearTimeout(limit)
      resolve(fault)
    }
    socket.once('secureConnect', () => settle(undefined))
    socket.once('close', () => settle('unreachable'))
    for (const end of [socket, plain]) end.on('error', (error: Error) => settle(connectionFault(error)))
  })
}

/** What comes after the first request goes over the same connection or not at all. */
function oneConnection(socket: TLSSocket): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  let isTaken = false
  agent.createConnection = () => {
    if (isTaken) throw new Error('the connection ended')
    isTaken = true
    return socket
  }
  return agent
}

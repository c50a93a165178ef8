import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { createSecureContext, TLSSocket, type SecureVersion } from 'node:tls'

export interface TlsProxyOptions {
  /** Plain server on loopback behind the proxy. */
  readonly port: number
  readonly cert: string
  readonly key: string
  readonly maxVersion?: SecureVersion
  /** Authority, PEM, whose certificate a client must have. */
  readonly clientAuthority?: string
  /** What is said in the clear before the handshake. */
  readonly preamble?: 'postgres' | 'nats'
  /** Application protocols (RFC 7301); gRPC wants `h2`. */
  readonly protocols?: string[]
}

export interface TlsProxy {
  readonly port: number
  readonly end: () => Promise<void>
}

/** TLS in front of a server without it, as good or as bad as a test wants it. */
export async function startTlsProxy({ port, cert, key, maxVersion, clientAuthority, preamble, protocols }: TlsProxyOptions): Promise<TlsProxy> {
  const ca = clientAuthority === undefined ? {} : { ca: clientAuthority }
  const clients = clientAuthority === undefined ? {} : { requestCert: true, rejectUnauthorized: true }
  const secureContext = createSecureContext({ cert, key, ...ca, ...(maxVersion === undefined ? {} : { maxVersion, minVersion: 'TLSv1.2' }) })
  const sockets = new Set<Socket>()
  const keep = <S extends Socket>(socket: S): S => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => sockets.delete(socket))
    return socket
  }
  const server = createServer((downstream) => {
    const upstream = keep(connect(port, '127.0.0.1'))
    keep(downstream).once('close', () => upstream.destroy())
    upstream.once('close', () => downstream.destroy())
    greet(downstream, upstream, preamble).then(
      () => {
        const secure = keep(
          new TLSSocket(downstream, { isServer: true, secureContext, ...clients, ...(protocols === undefined ? {} : { ALPNProtocols: protocols }) }),
        )
        secure.once('close', () => upstream.destroy())
        secure.pipe(upstream).pipe(secure)
      },
      () => downstream.destroy(),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    end: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function greet(downstream: Socket, upstream: Socket, preamble: TlsProxyOptions['preamble']): Promise<void> {
  if (preamble === 'postgres') {
    // SSLRequest: length 8 and the code 80877103; the answer is one letter.
    const [request] = (await once(downstream, 'data')) as [Buffer]
    if (!request.equals(Buffer.from('0000000804d2162f', 'hex'))) throw new Error('no SSLRequest')
    downstream.write('S')
  }
  if (preamble === 'nats') {
    const [line] = (await once(upstream, 'data')) as [Buffer]
    const info = JSON.parse(line.toString().slice('INFO '.length)) as object
    downstream.write(`INFO ${JSON.stringify({ ...info, tls_required: true })}\r\n`)
  }
}

import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

/** A way to one server that closes when the server answers with less than TLS 1.3. */
export interface Tls13Guard {
  /** `host:port` of an HTTP CONNECT proxy (RFC 9110, 9.3.6) on loopback. What passes it is encrypted end to end. */
  readonly address: string
  close(): void
}

const largestRequest = 1_024

/**
 * Temporal's core has no option for the lowest TLS version and would take 1.2. It dials through this guard instead, which sees
 * the ServerHello pass: its cipher suite is one of TLS 1.3 or the connection is cut. Certificates are checked by the core itself.
 *
 * @param target `host:port`, the only one that may be asked for
 */
export async function startTls13Guard(target: string): Promise<Tls13Guard> {
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    keep(client, sockets)
    acceptRequest(client, target).then(
      () => join(client, target, sockets),
      () => client.destroy(),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => close(server, sockets) }
}

function close(server: Server, sockets: ReadonlySet<Socket>): void {
  server.close()
  for (const socket of sockets) socket.destroy()
}

function keep(socket: Socket, sockets: Set<Socket>): void {
  sockets.add(socket)
  socket.setNoDelay(true)
  socket.on('error', () => {})
  socket.once('close', () => sockets.delete(socket))
}

/** Reads `CONNECT target` up to the empty line. The client says nothing more before it has an answer. */
async function acceptRequest(client: Socket, target: string): Promise<void> {
  let text = ''
  while (!text.endsWith('\r\n\r\n')) {
    const [chunk] = (await once(client, 'data', { signal: AbortSignal.timeout(5_000) })) as [Buffer]
    text += chunk.toString('latin1')
    if (text.length > largestRequest) throw new Error('the request is too long')
  }
  if (!text.startsWith(`CONNECT ${target} HTTP/1.1\r\n`)) throw new Error('another target')
}

function join(client: Socket, target: string, sockets: Set<Socket>): void {
  const colon = target.lastIndexOf(':')
  const upstream = connect({ host: target.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(target.slice(colon + 1)) })
  keep(upstream, sockets)
  client.once('close', () => upstream.destroy())
  upstream.once('close', () => client.destroy())
  upstream.once('connect', () => {
    client.write('HTTP/1.1 200 OK\r\n\r\n')
    client.pipe(upstream)
  })
  let hello = Buffer.alloc(0)
  const judge = (chunk: Buffer): void => {
    hello = Buffer.concat([hello, chunk])
    const verdict = judgeServerHello(hello)
    if (verdict === 'refused') return void upstream.destroy()
    if (verdict === 'unfinished') return
    upstream.off('data', judge)
    client.write(hello)
    upstream.pipe(client)
  }
  upstream.on('data', judge)
}

/**
 * The first record of a server (RFC 8446, 4.1.3 and 5.1): a handshake record that begins with a ServerHello whose cipher suite
 * is 0x13xx, which no earlier version has. Anything else is refused, an alert too: a ServerHello could follow it.
 */
export function judgeServerHello(bytes: Buffer): 'tls-1.3' | 'refused' | 'unfinished' {
  const [type, serverHello] = [bytes[0], bytes[5]]
  if ((type !== undefined && type !== 0x16) || (serverHello !== undefined && serverHello !== 0x02)) return 'refused'
  const sessionIdLength = bytes[43]
  if (sessionIdLength === undefined) return 'unfinished'
  const suite = 44 + sessionIdLength
  if (sessionIdLength > 32 || bytes.readUInt16BE(3) < suite + 2 - 5) return 'refused'
  if (bytes.length < suite + 2) return 'unfinished'
  return bytes[suite] === 0x13 ? 'tls-1.3' : 'refused'
}

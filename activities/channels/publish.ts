import type { Socket } from 'node:net'
import { z } from 'zod'
import type { Secret } from '#schemas/secret.ts'
import { ConnectionEnded, dial, encrypt, type Reach } from './dial.ts'
import type { Message } from './message.ts'

export interface NatsPlace {
  /** `tls://host:port` or `nats://host:port`. */
  readonly url: string
  /** Tokens without wildcards and blanks. */
  readonly subject: string
  readonly login?: { readonly username: string; readonly password: Secret<string> } | undefined
}

/** What a NATS server said or did, as one of our words; its own are never kept. */
class NatsFailure extends Error {
  readonly code: `nats-${'login-refused' | 'publish-refused' | 'no-headers' | 'misunderstood' | 'talks-too-much'}`

  constructor(code: NatsFailure['code']) {
    super('the NATS server has not taken the message')
    this.name = 'NatsFailure'
    this.code = code
  }
}

/** A server has little to say before it is left; what is more, in bytes, is not listened to. */
const largestTalk = 65_536

/** What the server says of itself and is of use here. */
const Info = z.object({ headers: z.boolean().optional(), tls_required: z.boolean().optional() })

/**
 * Publishes a notice as a CloudEvent 1.0 (binary mode of the NATS binding) and waits until the server has it. A JetStream that
 * keeps the subject drops what comes twice by `Nats-Msg-Id`. The protocol is spoken here and not by the driver: that one cannot
 * be stopped while it connects, listens without end and takes a refused publication for a sent one.
 *
 * @throws NatsFailure, ConnectionEnded, RefusedAddress, or an error of the connection
 */
export async function publishNotice({ url, subject, login }: NatsPlace, message: Message, reach: Reach, signal: AbortSignal): Promise<void> {
  const { protocol, hostname, port } = new URL(url)
  const socket = await dial({ host: hostname, port: Number(port || 4222), tls: false }, reach, signal)
  try {
    let line: Line = { socket, said: linesOf(socket) }
    const info = infoOf(await next(line))
    const secure = protocol === 'tls:' || info.tls_required === true
    if (secure) {
      await line.said.return()
      const encrypted = await encrypt(socket, hostname, reach)
      line = { socket: encrypted, said: linesOf(encrypted) }
    }
    if (info.headers !== true) throw new NatsFailure('nats-no-headers')
    await tell(line, connectLine(secure, login), 'nats-login-refused')
    await tell(line, eventOf(subject, message), 'nats-publish-refused')
  } finally {
    socket.destroy()
  }
}

interface Line {
  readonly socket: Socket
  readonly said: AsyncGenerator<string, void, void>
}

function connectLine(secure: boolean, login: NatsPlace['login']): string {
  const who = login === undefined ? {} : { user: login.username, pass: login.password.expose() }
  const how = { verbose: false, pedantic: true, headers: true, protocol: 1, tls_required: secure, name: 'leasehold-notices', lang: 'node', version: '1' }
  return `CONNECT ${JSON.stringify({ ...how, ...who })}\r\n`
}

function eventOf(subject: string, { id, payload }: Message): string {
  const headers = {
    'Nats-Msg-Id': id,
    'ce-specversion': '1.0',
    'ce-id': id,
    'ce-source': 'leasehold',
    'ce-type': payload.type,
    'ce-time': payload.timestamp,
    'content-type': 'application/json',
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const head = `NATS/1.0\r\n${lines.join('')}\r\n`
  const data = JSON.stringify(payload.data)
  return `HPUB ${subject} ${Buffer.byteLength(head)} ${Buffer.byteLength(head + data)}\r\n${head}${data}\r\n`
}

/** Says something and waits until the server has dealt with it: it answers in order, and a PING is answered. */
async function tell(line: Line, words: string, refusal: NatsFailure['code']): Promise<void> {
  line.socket.write(`${words}PING\r\n`)
  for (;;) {
    const answer = await next(line)
    if (answer === 'PONG') return
    if (answer.startsWith('-ERR')) throw new NatsFailure(refusal)
    if (answer === 'PING') line.socket.write('PONG\r\n')
    else if (!/^(\+OK$|INFO )/.test(answer)) throw new NatsFailure('nats-misunderstood')
  }
}

function infoOf(line: string): z.infer<typeof Info> {
  if (line.startsWith('-ERR')) throw new NatsFailure('nats-login-refused')
  try {
    return Info.parse(JSON.parse(/^INFO\s+(\{.*\})\s*$/.exec(line)?.[1] ?? ''))
  } catch {
    throw new NatsFailure('nats-misunderstood')
  }
}

async function next({ said }: Line): Promise<string> {
  const { value } = await said.next()
  if (value === undefined) throw new ConnectionEnded()
  return value
}

/** Lines without their ends. Whoever returns it early has the socket back. */
async function* linesOf(socket: Socket): AsyncGenerator<string, void, void> {
  let begun = ''
  let length = 0
  for await (const part of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += part.length
    if (length > largestTalk) throw new NatsFailure('nats-talks-too-much')
    const [first = '', ...others] = part.toString('latin1').split('\n')
    const lines = [begun + first, ...others]
    begun = lines.pop() ?? ''
    for (const line of lines) yield line.replace(/\r$/, '')
  }
}

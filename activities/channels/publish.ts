import { connect, headers as natsHeaders } from 'nats'
import type { Secret } from '#schemas/secret.ts'
import { sendLimit } from '#schemas/rules/notification.ts'
import { resolve, tlsOptions, type Reach } from './dial.ts'
import type { Message } from './message.ts'

export interface NatsPlace {
  /** `tls://host:port` or `nats://host:port`. */
  readonly url: string
  readonly subject: string
  readonly login?: { readonly username: string; readonly password: Secret<string> } | undefined
}

/**
 * Publishes a notice as a CloudEvent 1.0 (binary mode of the NATS binding) and waits until the server has it. A JetStream that
 * keeps the subject drops what comes twice by `Nats-Msg-Id`.
 */
export async function publishNotice({ url, subject, login }: NatsPlace, message: Message, reach: Reach, signal: AbortSignal): Promise<void> {
  const { protocol, hostname, port } = new URL(url)
  const host = hostname.replace(/^\[|\]$/g, '')
  const [address = ''] = await resolve(host, reach)
  const options = tlsOptions(host, reach)
  // `host` is what an address without a name is checked against; the driver passes none.
  const natsTls = { ...options, host, ca: options.ca.join('\n') }
  const connection = await connect({
    servers: `${address.includes(':') ? `[${address}]` : address}:${port || 4222}`,
    name: 'leasehold-notices',
    reconnect: false,
    // Servers may name others of their cluster; only the one that was checked is dialled.
    ignoreClusterUpdates: true,
    timeout: sendLimit / 2,
    tls: protocol === 'tls:' ? natsTls : null,
    ...(login === undefined ? {} : { user: login.username, pass: login.password.expose() }),
  })
  const cut = () => void connection.close().catch(() => {})
  signal.addEventListener('abort', cut, { once: true })
  try {
    signal.throwIfAborted()
    const headers = natsHeaders()
    headers.set('Nats-Msg-Id', message.id)
    headers.set('ce-specversion', '1.0')
    headers.set('ce-id', message.id)
    headers.set('ce-source', 'leasehold')
    headers.set('ce-type', message.payload.type)
    headers.set('ce-time', message.payload.timestamp)
    headers.set('content-type', 'application/json')
    connection.publish(subject, JSON.stringify(message.payload.data), { headers })
    await connection.flush()
    signal.throwIfAborted()
  } finally {
    signal.removeEventListener('abort', cut)
    await connection.close().catch(() => {})
  }
}

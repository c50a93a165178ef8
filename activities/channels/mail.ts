import { createTransport } from 'nodemailer'
import type { Secret } from '#schemas/secret.ts'
import { dial, tlsOptions, type Reach } from './dial.ts'
import type { Message } from './message.ts'

/** A mail server to send by. */
export interface MailServer {
  /** `smtps://host:port`: TLS from the first byte; `smtp://host:port`: STARTTLS. */
  readonly url: string
  /** Where a server without TLS is good enough: in dev mode. */
  readonly plainAllowed: boolean
  readonly from: string
  readonly login?: { readonly username: string; readonly password: Secret<string> } | undefined
}

const severityPriority = { info: 'normal', warning: 'normal', critical: 'high' } as const

/**
 * Sends one mail to one address (RFC 5321, 5322). The Message-ID follows from the notice.
 *
 * @returns `smtp` and the status
 * @throws Error of the driver; its `responseCode` is the status
 */
export async function sendMail(server: MailServer, to: string, message: Message, reach: Reach, signal: AbortSignal): Promise<string> {
  const { protocol, hostname: host, port } = new URL(server.url)
  const secure = protocol === 'smtps:'
  const socket = await dial({ host, port: Number(port || (secure ? 465 : 587)), tls: false }, reach, signal)
  const transport = createTransport({
    host,
    secure,
    requireTLS: !secure && !server.plainAllowed,
    connection: socket,
    tls: tlsOptions(host, reach),
    ...(server.login === undefined ? {} : { auth: { user: server.login.username, pass: server.login.password.expose() } }),
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  try {
    const { response } = await transport.sendMail({
      from: { name: 'Leasehold', address: server.from },
      to: { name: '', address: to },
      subject: `[${message.payload.data.severity}] ${message.title}`,
      text: message.text,
      messageId: `<${message.id}@notices.leasehold>`,
      priority: severityPriority[message.payload.data.severity],
      date: new Date(message.payload.timestamp),
      headers: { 'Auto-Submitted': 'auto-generated', 'X-Leasehold-Notice': message.id, 'X-Leasehold-Kind': message.payload.data.kind },
    })
    return `smtp ${response.slice(0, 3)}`
  } finally {
    transport.close()
    socket.destroy()
  }
}

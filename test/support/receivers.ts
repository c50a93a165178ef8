import { createServer, type IncomingMessage } from 'node:http'
import { SMTPServer } from 'smtp-server'
import { freePort } from './free-port.ts'

/** A real receiver on a port of its own that a test stops, starts, and lets misbehave. */
interface Receiver {
  readonly url: string
  start(): Promise<void>
  stop(): Promise<void>
}

export interface CaughtMail {
  readonly to: readonly string[]
  readonly messageId: string
  readonly text: string
}

export interface MailReceiver extends Receiver {
  readonly mails: CaughtMail[]
  /** Answers every recipient with this status instead of taking the mail; null: takes it. */
  refuse(status: number | null): void
}

export async function createMailReceiver(): Promise<MailReceiver> {
  const port = await freePort()
  const mails: CaughtMail[] = []
  let server: SMTPServer | undefined
  let refusal: number | null = null
  return {
    url: `smtp://127.0.0.1:${port}`,
    mails,
    refuse: (status) => {
      refusal = status
    },
    start: async () => {
      server = new SMTPServer({
        authOptional: true,
        disabledCommands: ['STARTTLS', 'AUTH'],
        disableReverseLookup: true,
        onRcptTo: (_address, _session, done) => done(refusal === null ? null : Object.assign(new Error('not here'), { responseCode: refusal })),
        onData(stream, session, done) {
          let text = ''
          stream.on('data', (part: Buffer) => (text += part.toString('utf8')))
          stream.on('end', () => {
            mails.push({ to: session.envelope.rcptTo.map(({ address }) => address), messageId: /^Message-ID: <(.*)>$/im.exec(text)?.[1] ?? '', text })
            done()
          })
        },
      })
      server.on('error', () => {})
      await new Promise<void>((resolve) => server?.listen(port, '127.0.0.1', resolve))
    },
    stop: () => new Promise((resolve) => (server === undefined ? resolve() : server.close(() => resolve()))),
  }
}

export interface Hook {
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

export interface HookReceiver extends Receiver {
  readonly hooks: Hook[]
  /** What it answers: a status, with headers; `hang`: nothing, ever. */
  answer(how: { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string } | 'hang'): void
}

export async function createHookReceiver(): Promise<HookReceiver> {
  const port = await freePort()
  const hooks: Hook[] = []
  let how: Parameters<HookReceiver['answer']>[0] = { status: 204 }
  const make = () =>
    createServer((request, response) => {
      let body = ''
      request.on('data', (part: Buffer) => (body += part.toString('utf8')))
      request.on('end', () => {
        hooks.push({ headers: request.headers, body })
        if (how !== 'hang') response.writeHead(how.status, how.headers).end(how.body)
      })
    })
  let server = make()
  return {
    url: `http://127.0.0.1:${port}`,
    hooks,
    answer: (next) => {
      how = next
    },
    start: async () => {
      server = make()
      await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    },
    stop: async () => {
      if (!server.listening) return
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

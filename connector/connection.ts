import { setTimeout as sleep } from 'node:timers/promises'
import { connect, jwtAuthenticator, type NatsConnection } from 'nats'
import type { Logger } from 'pino'
import { natsTls } from '#schemas/nats-tls.ts'

export interface ConnectionParts {
  readonly natsUrl: string
  /** Certificate authorities, PEM; undefined: those that come with Node. */
  readonly ca: string | undefined
  readonly inboxPrefix: string
  readonly nkeySeed: string
  /** The user JWT of now; it is renewed while the process runs. */
  readonly userJwt: () => string
  /** Runs once per connection; it must notice itself that the connection is closed. */
  readonly serve: (connection: NatsConnection) => Promise<void>
  readonly log: Logger
  readonly signal: AbortSignal
}

const shortestPause = 250
const longestPause = 15_000

/**
 * Keeps one NATS connection until `signal`. Each connection is made anew instead of being revived by the driver: a refused
 * one does not say why (the error text is often lost), so revoked, expired and unreachable are all met by asking again later.
 */
export async function keepConnected(parts: ConnectionParts): Promise<void> {
  for (let pause = shortestPause; !parts.signal.aborted; pause = Math.min(pause * 2, longestPause)) {
    const connection = await open(parts)
    if (connection !== undefined) {
      const since = performance.now()
      parts.log.info('connected')
      await serveUntilClosed(connection, parts)
      // A connection that was cut at once is a refusal, not a success.
      if (performance.now() - since > 5_000) pause = shortestPause
    }
    await sleep(pause * (0.75 + Math.random() / 2), undefined, { signal: parts.signal }).catch(() => {})
  }
}

async function open({ natsUrl, ca, inboxPrefix, nkeySeed, userJwt, log }: ConnectionParts): Promise<NatsConnection | undefined> {
  try {
    return await connect({
      servers: natsUrl,
      inboxPrefix,
      name: 'leasehold-connector',
      reconnect: false,
      timeout: 5_000,
      pingInterval: 20_000,
      maxPingOut: 2,
      authenticator: jwtAuthenticator(userJwt, new TextEncoder().encode(nkeySeed)),
      ...natsTls(natsUrl, ca),
    })
  } catch (error) {
    log.warn({ reason: error instanceof Error ? error.name : 'unknown' }, 'not connected')
    return undefined
  }
}

async function serveUntilClosed(connection: NatsConnection, { serve, log, signal }: ConnectionParts): Promise<void> {
  const stop = () => void connection.close()
  signal.addEventListener('abort', stop)
  try {
    void serve(connection).catch((error: unknown) => {
      log.warn({ err: error }, 'the connection could not be served')
      void connection.close()
    })
    await connection.closed()
  } finally {
    signal.removeEventListener('abort', stop)
    log.info('disconnected')
  }
}

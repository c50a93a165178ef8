import { createUser } from '@nats-io/nkeys'
import { connect, jwtAuthenticator, type NatsConnection } from 'nats'
import { natsTls } from '#schemas/nats-tls.ts'
import { mintUser, userLife, type UserRights } from './claims.ts'
import type { NatsKey } from './nats-key.ts'

export interface LoginOptions {
  readonly natsUrl: string
  /** Certificate authorities, PEM; undefined: those that come with Node. */
  readonly ca: string | undefined
  readonly inboxPrefix: string
  /** Signs the user. */
  readonly signer: NatsKey
  readonly rights: (publicKey: string) => UserRights
}

/**
 * Connects as a user that exists for this process only: its seed is never stored, its rights are renewed while it runs.
 *
 * @throws Error of the driver when the server does not answer or refuses
 */
export async function logIn({ natsUrl, ca, inboxPrefix, signer, rights }: LoginOptions): Promise<NatsConnection> {
  const user = createUser()
  const mint = (): Promise<string> => mintUser(signer, rights(user.getPublicKey()))
  let jwt = await mint()
  const connection = await connect({
    servers: natsUrl,
    inboxPrefix,
    name: 'leasehold-bridge',
    timeout: 2_000,
    pingInterval: 20_000,
    maxPingOut: 2,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    reconnectJitter: 250,
    ignoreAuthErrorAbort: true,
    authenticator: jwtAuthenticator(() => jwt, user.getSeed()),
    ...natsTls(natsUrl, ca),
  })
  // The server ends the connection with its rights; the driver then comes back with the newer ones.
  const renewal = setInterval(
    () =>
      void mint().then(
        (next) => {
          jwt = next
        },
        () => {},
      ),
    (userLife / 4) * 1000,
  )
  renewal.unref()
  void connection.closed().then(() => clearInterval(renewal))
  return connection
}

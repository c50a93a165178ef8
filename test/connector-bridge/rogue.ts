import { randomUUID } from 'node:crypto'
import { compactDecrypt, importJWK } from 'jose'
import { connect, jwtAuthenticator, type NatsConnection } from 'nats'
import { readIdentity } from '#connector/identity-file.ts'
import { logIn } from '#connector-bridge/identity/user-login.ts'
import { natsKey, natsKeyNames } from '#connector-bridge/identity/nats-key.ts'
import { SealedJob, subjects } from '#schemas/connector-message.ts'
import type { BridgeWorld } from './world.ts'

/** A connector's own keys and rights in the hands of somebody who says with them what they like. */
export interface Rogue {
  readonly connection: NatsConnection
  readonly instance: string
  /** @returns the answer, or why there was none */
  readonly ask: (subject: string, body: unknown) => Promise<Record<string, unknown>>
  /** Opens the secret of a claim's answer. */
  readonly open: (jwe: string) => Promise<SealedJob>
}

/** @throws Error of the driver when the server does not let it in */
export async function openRogue(natsUrl: string, home: string): Promise<Rogue> {
  const identity = readIdentity(home)
  if (identity?.joined == null) throw new Error('not joined')
  const { nkeySeed, encryptionKey, joined } = identity
  const connection = await connect({
    servers: natsUrl,
    inboxPrefix: subjects.inboxPrefix(joined.connectorId),
    reconnect: false,
    timeout: 2_000,
    authenticator: jwtAuthenticator(joined.userJwt, new TextEncoder().encode(nkeySeed)),
  })
  return {
    connection,
    instance: randomUUID(),
    ask: (subject, body) =>
      connection
        .request(subject, typeof body === 'string' ? body : JSON.stringify(body), { timeout: 1_500 })
        .then((message) => message.json<Record<string, unknown>>())
        .catch((error: Error) => ({ none: error.name })),
    open: async (jwe) => {
      const { plaintext } = await compactDecrypt(jwe, await importJWK(encryptionKey, 'ECDH-ES+A256KW'))
      const signed = new TextDecoder().decode(plaintext)
      return SealedJob.parse(JSON.parse(signed.slice(signed.indexOf('\n') + 1)))
    },
  }
}

/** Somebody inside the organization's account with rights that we give to nobody. */
export async function openIntruder(world: BridgeWorld): Promise<NatsConnection> {
  const { rows } = await world.database.superuser('select public_key from nats_account where organization_id = $1', [world.organizationId])
  const account = rows[0].public_key as string
  const signer = await natsKey(world.transit, natsKeyNames.organizationSigning(world.organizationId), 'account')
  const rights = (publicKey: string) => ({ name: 'intruder', publicKey, account, publish: ['>'], subscribe: ['>'] })
  return logIn({ natsUrl: world.nats.url, ca: undefined, inboxPrefix: '_INBOX.intruder', signer, rights })
}

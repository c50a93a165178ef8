import { subjects } from '#schemas/connector-message.ts'
import { mintJwt, type NatsKey } from './nats-key.ts'

const unlimited = { subs: -1, data: -1, payload: -1, conn: -1, leaf: 0, imports: -1, exports: -1, wildcards: true }

/** A connector's own rights last so long, s; half-way through it gets the next ones. */
export const userLife = 86_400

/** The operator: trusts no other signer and names the account that administers the servers. */
export const mintOperator = (operator: NatsKey, systemAccount: string): Promise<string> =>
  mintJwt(operator, { name: 'leasehold', sub: operator.publicKey, nats: { type: 'operator', system_account: systemAccount } })

export const mintSystemAccount = (operator: NatsKey, systemAccount: string): Promise<string> =>
  mintJwt(operator, { name: 'system', sub: systemAccount, nats: { type: 'account', limits: unlimited } })

export interface OrganizationAccount {
  readonly organizationId: string
  readonly publicKey: string
  /** Public half of the key that signs its users. */
  readonly signingKey: string
  /** User key -> s since 1970: what was issued until then is refused, and its connections are cut. */
  readonly revocations: Readonly<Record<string, number>>
}

/** The account of one organization: a subject space that no other organization sees. Without limits a server allows nothing. */
export const mintOrganizationAccount = (operator: NatsKey, account: OrganizationAccount): Promise<string> =>
  mintJwt(operator, {
    name: account.organizationId,
    sub: account.publicKey,
    nats: { type: 'account', limits: unlimited, signing_keys: [account.signingKey], revocations: account.revocations },
  })

export interface UserRights {
  readonly name: string
  readonly publicKey: string
  /** Account that the user belongs to, where another key signs for it. */
  readonly account?: string
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
}

/** @param life s */
export const mintUser = (signer: NatsKey, { name, publicKey, account, publish, subscribe }: UserRights, life = userLife): Promise<string> =>
  mintJwt(signer, {
    name,
    sub: publicKey,
    exp: Math.floor(Date.now() / 1000) + life,
    nats: {
      type: 'user',
      ...(account === undefined ? {} : { issuer_account: account }),
      pub: { allow: publish },
      sub: { allow: subscribe },
      // Answers to what somebody asked; one each, within 30 s (in ns).
      resp: { max: 1, ttl: 30_000_000_000 },
      subs: 512,
      data: -1,
      payload: 131_072,
      allowed_connection_types: ['STANDARD', 'WEBSOCKET'],
    },
  })

/** A connector speaks and hears under its own id, nowhere else. */
export const connectorRights = (connectorId: string, publicKey: string, account: string): UserRights => ({
  name: connectorId,
  publicKey,
  account,
  publish: [`pam.v1.c.${connectorId}.up.>`],
  subscribe: [`pam.v1.c.${connectorId}.dn.>`, `${subjects.inboxPrefix(connectorId)}.>`],
})

/** Our side of every connector of an organization. Its answers go out as responses, so no connector's inbox is open to it. */
export const bridgeRights = (publicKey: string, account: string): UserRights => ({
  name: 'bridge',
  publicKey,
  account,
  publish: ['pam.v1.c.*.dn.>'],
  subscribe: ['pam.v1.c.*.up.>', '_INBOX.bridge.>'],
})

/** Administers account claims and connections, and nothing else. */
export const systemRights = (publicKey: string): UserRights => ({
  name: 'identity',
  publicKey,
  publish: ['$SYS.REQ.CLAIMS.UPDATE', '$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP', '$SYS.REQ.SERVER.PING.CONNZ', '$SYS.REQ.SERVER.*.KICK'],
  subscribe: ['_INBOX.identity.>'],
})

import type { NatsConnection } from 'nats'
import type { AccountId, OrganizationId } from '#schemas/ids.ts'
import type { NatsAccount } from '#store/nats-account.ts'
import type { Accounts } from './identity/accounts.ts'
import { bridgeRights } from './identity/claims.ts'
import { logIn } from './identity/user-login.ts'

export interface Lines {
  /** The connection into an organization's account; opened at the first call. */
  readonly open: (accountId: AccountId, organizationId: OrganizationId) => Promise<NatsConnection>
  readonly close: () => Promise<void>
}

export interface LinesParts {
  readonly natsUrl: string
  readonly ca: string | undefined
  readonly accounts: Accounts
  /** Runs once per connection, before anybody uses it. */
  readonly greet: (connection: NatsConnection, account: NatsAccount) => void
}

/** One connection per organization, because its account is a subject space of its own. */
export function createLines({ natsUrl, ca, accounts, greet }: LinesParts): Lines {
  const lines = new Map<OrganizationId, Promise<NatsConnection>>()

  async function connectTo(accountId: AccountId, organizationId: OrganizationId): Promise<NatsConnection> {
    const account = await accounts.ensure(accountId, organizationId)
    const signer = await accounts.userSigner(organizationId)
    const connection = await logIn({ natsUrl, ca, inboxPrefix: '_INBOX.bridge', signer, rights: (user) => bridgeRights(user, account.publicKey) })
    void connection.closed().then(() => lines.delete(organizationId))
    greet(connection, account)
    return connection
  }

  return {
    open: (accountId, organizationId) => {
      const known = lines.get(organizationId)
      if (known !== undefined) return known
      const opened = connectTo(accountId, organizationId)
      lines.set(organizationId, opened)
      opened.catch(() => lines.delete(organizationId))
      return opened
    },
    close: async () => {
      await Promise.allSettled([...lines.values()].map(async (line) => (await line).drain()))
    },
  }
}

import type { AccountId, ConnectorId } from '#schemas/ids.ts'
import { inAccount, type Db } from '#store/connection.ts'
import { giveUserRights, readConnectorLink, type ConnectorLink } from '#store/connector-link.ts'
import type { Accounts } from './accounts.ts'
import { connectorRights, mintUser, userLife } from './claims.ts'

export interface Connectors {
  /** Looks at a connector and does what its state asks for: lets it in, keeps it in, or cuts it off. */
  readonly settle: (accountId: AccountId, connectorId: ConnectorId) => Promise<void>
  /** Fresh rights for an active connector whose present ones are past half of their life; undefined: not needed. */
  readonly renew: (accountId: AccountId, connectorId: ConnectorId) => Promise<string | undefined>
}

export function createConnectors({ db, accounts }: { readonly db: Db; readonly accounts: Accounts }): Connectors {
  const read = (accountId: AccountId, connectorId: ConnectorId): Promise<ConnectorLink | undefined> =>
    inAccount(db, accountId, (trx) => readConnectorLink(trx, connectorId))

  async function giveRights(accountId: AccountId, { connectorId, organizationId }: ConnectorLink, nkey: string): Promise<string | undefined> {
    const account = await accounts.ensure(accountId, organizationId)
    const userJwt = await mintUser(await accounts.userSigner(organizationId), connectorRights(connectorId, nkey, account.publicKey))
    const given = await inAccount(db, accountId, (trx) => giveUserRights(trx, connectorId, { nkey, userJwt, life: userLife }))
    return given ? userJwt : undefined
  }

  return {
    settle: async (accountId, connectorId) => {
      const link = await read(accountId, connectorId)
      if (link === undefined || link.nkey === null) return
      if (link.state === 'revoked') await accounts.revoke(accountId, link.organizationId, link.nkey)
      else if (link.state === 'joining' || (link.state === 'active' && link.userJwtLife < userLife / 2)) await giveRights(accountId, link, link.nkey)
    },
    renew: async (accountId, connectorId) => {
      const link = await read(accountId, connectorId)
      if (link?.state !== 'active' || link.nkey === null || link.userJwtLife >= userLife / 2) return undefined
      return giveRights(accountId, link, link.nkey)
    },
  }
}

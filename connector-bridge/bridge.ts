import type { Logger } from 'pino'
import { ConnectorId, JobId } from '#schemas/ids.ts'
import type { JobMeter } from '#schemas/meters.ts'
import type { Transit } from '#secrets/transit.ts'
import type { VaultKeys } from '#secrets/vault-keys.ts'
import type { Db } from '#store/connection.ts'
import type { Duty } from '#store/duties.ts'
import { listNatsAccounts } from '#store/nats-account.ts'
import { createAccounts } from './identity/accounts.ts'
import { systemRights } from './identity/claims.ts'
import { createConnectors } from './identity/connectors.ts'
import { natsKey, natsKeyNames } from './identity/nats-key.ts'
import { createSystemLine, type SystemLine } from './identity/system-line.ts'
import { logIn } from './identity/user-login.ts'
import { listen } from './jobs/listen.ts'
import { offerJob } from './jobs/offer.ts'
import { createLines } from './lines.ts'

export interface BridgeParts {
  readonly db: Db
  readonly transit: Transit
  readonly vaultKeys: VaultKeys
  readonly natsUrl: string
  /** Certificate authorities of NATS, PEM; undefined: those that come with Node. */
  readonly ca: string | undefined
  readonly log: Logger
  readonly meter?: JobMeter
}

/** The NATS side of the control plane. */
export interface Bridge {
  /** Does what one duty of kind `offer` or `connector` asks for. */
  readonly fulfil: (duty: Duty) => Promise<void>
  /** Listens to every organization that has a NATS account by now. */
  readonly listenToAll: () => Promise<void>
  /** Gives the NATS servers the claims that PostgreSQL has. */
  readonly reconcile: () => Promise<void>
  /** @throws Error when no NATS server answers */
  readonly ping: () => Promise<void>
  readonly close: () => Promise<void>
}

export function createBridge(parts: BridgeParts): Bridge {
  const { db, transit, natsUrl, ca, log } = parts
  const system = once(async (forget) => {
    const signer = await natsKey(transit, natsKeyNames.system, 'account')
    const connection = await logIn({ natsUrl, ca, inboxPrefix: '_INBOX.identity', signer, rights: systemRights })
    void connection.closed().then(forget)
    return Object.assign(createSystemLine(connection), { connection })
  })
  const accounts = createAccounts({ db, transit, system: (): Promise<SystemLine> => system.get() })
  const connectors = createConnectors({ db, accounts })
  const lines = createLines({ natsUrl, ca, accounts, greet: (connection, account) => listen({ ...parts, connectors }, connection, account) })

  return {
    fulfil: async ({ accountId, kind, subjectId }) => {
      if (kind === 'connector') return connectors.settle(accountId, ConnectorId.parse(subjectId))
      const answer = await offerJob({ db, transit, line: lines.open }, accountId, JobId.parse(subjectId))
      if (answer !== undefined) log.debug({ jobId: subjectId, answer }, 'offered')
    },
    listenToAll: async () => {
      await Promise.all((await listNatsAccounts(db)).map(({ accountId, organizationId }) => lines.open(accountId, organizationId)))
    },
    reconcile: async () => {
      const different = await accounts.reconcile()
      if (different > 0) log.info({ different }, 'gave NATS the claims of accounts')
    },
    ping: async () => void (await (await system.get()).connection.rtt()),
    close: async () => {
      await lines.close()
      await system.peek()?.then(
        (line) => line.close(),
        () => {},
      )
    },
  }
}

/** One value for all, made when it is first wanted and again after it was forgotten. */
function once<T>(make: (forget: () => void) => Promise<T>): { get: () => Promise<T>; peek: () => Promise<T> | undefined } {
  let made: Promise<T> | undefined
  const forget = (): void => {
    made = undefined
  }
  return {
    get: () => {
      if (made === undefined) {
        made = make(forget)
        made.catch(forget)
      }
      return made
    },
    peek: () => made,
  }
}

import type { AccountId, OrganizationId } from '#schemas/ids.ts'
import type { Transit } from '#secrets/transit.ts'
import { inAccount, type Db } from '#store/connection.ts'
import { changeNatsAccount, createNatsAccount, listNatsAccounts, readNatsAccount, type NatsAccount } from '#store/nats-account.ts'
import { mintOrganizationAccount, userLife } from './claims.ts'
import { natsKey, natsKeyNames, type NatsKey } from './nats-key.ts'
import type { SystemLine } from './system-line.ts'

export interface AccountsParts {
  readonly db: Db
  readonly transit: Transit
  /** The administration of the NATS servers. @throws Error when none answers */
  readonly system: () => Promise<SystemLine>
}

export interface Accounts {
  /** The organization's account, known to the servers. */
  readonly ensure: (accountId: AccountId, organizationId: OrganizationId) => Promise<NatsAccount>
  /** Signs the users of an organization's account. */
  readonly userSigner: (organizationId: OrganizationId) => Promise<NatsKey>
  /** Refuses what was issued to this user until now, and ends its connections on every server. */
  readonly revoke: (accountId: AccountId, organizationId: OrganizationId, user: string) => Promise<void>
  /** Gives every server that differs from PostgreSQL the claims that PostgreSQL has. @returns how many accounts differed */
  readonly reconcile: () => Promise<number>
}

/** Clocks of servers may differ by this much, s. */
const skew = 60

export function createAccounts({ db, transit, system }: AccountsParts): Accounts {
  const operator = (): Promise<NatsKey> => natsKey(transit, natsKeyNames.operator, 'operator')
  const userSigner = (organizationId: OrganizationId): Promise<NatsKey> => natsKey(transit, natsKeyNames.organizationSigning(organizationId), 'account')

  async function read(accountId: AccountId, organizationId: OrganizationId): Promise<NatsAccount> {
    const known = await inAccount(db, accountId, (trx) => readNatsAccount(trx, organizationId))
    if (known !== undefined) return known
    const own = await natsKey(transit, natsKeyNames.organization(organizationId), 'account')
    const claims = { organizationId, publicKey: own.publicKey, signingKey: (await userSigner(organizationId)).publicKey }
    const jwt = await mintOrganizationAccount(await operator(), { ...claims, revocations: {} })
    return inAccount(db, accountId, async (trx) => {
      await createNatsAccount(trx, { ...claims, jwt })
      return (await readNatsAccount(trx, organizationId)) as NatsAccount
    })
  }

  /** Until every server that answers has exactly these claims. */
  async function push({ publicKey, jwt }: NatsAccount): Promise<boolean> {
    const line = await system()
    const same = async (): Promise<boolean> => {
      const known = await line.lookUp(publicKey)
      return known.length > 0 && known.every((claims) => claims === jwt)
    }
    if (await same()) return false
    await line.push(jwt)
    if (!(await same())) throw new Error('a NATS server still has other claims of an account')
    return true
  }

  async function addRevocation(accountId: AccountId, organizationId: OrganizationId, user: string): Promise<NatsAccount> {
    for (;;) {
      const account = await read(accountId, organizationId)
      const now = Math.floor(Date.now() / 1000)
      if (Object.hasOwn(account.revocations, user)) return account
      // What ends by itself need not be refused any more.
      const kept = Object.entries(account.revocations).filter(([, at]) => at + userLife + skew > now)
      const revocations = Object.fromEntries([...kept, [user, now + skew]])
      const jwt = await mintOrganizationAccount(await operator(), { ...account, revocations })
      if (await inAccount(db, accountId, (trx) => changeNatsAccount(trx, account, { revocations, jwt }))) return { ...account, revocations, jwt }
    }
  }

  return {
    userSigner,
    ensure: async (accountId, organizationId) => {
      const account = await read(accountId, organizationId)
      await push(account)
      return account
    },
    revoke: async (accountId, organizationId, user) => {
      const account = await addRevocation(accountId, organizationId, user)
      await push(account)
      const line = await system()
      // The claims cut it already where the server knew them; this is for whoever was faster.
      if ((await line.cut(account.publicKey, user)) > 0 && (await line.cut(account.publicKey, user)) > 0) throw new Error('a revoked connection is still open')
    },
    reconcile: async () => {
      let different = 0
      for (const account of await listNatsAccounts(db)) if (await push(account)) different++
      return different
    },
  }
}

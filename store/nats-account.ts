import { sql } from 'kysely'
import type { AccountId, OrganizationId } from '#schemas/ids.ts'
import type { Db, Transaction } from './connection.ts'
import { translateError } from './postgres-error.ts'

/** The NATS account of an organization, as every server shall know it. PostgreSQL is the source, the servers have copies. */
export interface NatsAccount {
  readonly accountId: AccountId
  readonly organizationId: OrganizationId
  readonly publicKey: string
  readonly signingKey: string
  /** Its claims, signed by the operator. */
  readonly jwt: string
  /** NATS user key -> s since 1970. */
  readonly revocations: Readonly<Record<string, number>>
  readonly revision: number
}

const columns = sql`account_id as "accountId", organization_id as "organizationId", public_key as "publicKey", signing_key as "signingKey", jwt, revocations, revision`

export async function readNatsAccount(trx: Transaction, organizationId: OrganizationId): Promise<NatsAccount | undefined> {
  const { rows } = await sql<NatsAccount>`select ${columns} from nats_account where organization_id = ${organizationId}::uuid`.execute(trx)
  return rows[0]
}

/** Whoever comes first makes it; the keys are the same for all. */
export async function createNatsAccount(trx: Transaction, account: Pick<NatsAccount, 'organizationId' | 'publicKey' | 'signingKey' | 'jwt'>): Promise<void> {
  await sql`insert into nats_account (organization_id, public_key, signing_key, jwt)
    values (${account.organizationId}::uuid, ${account.publicKey}::text, ${account.signingKey}::text, ${account.jwt}::text)
    on conflict do nothing`.execute(trx)
}

/** @returns false when somebody else changed it since `account` was read */
export async function changeNatsAccount(
  trx: Transaction,
  account: NatsAccount,
  { revocations, jwt }: Pick<NatsAccount, 'revocations' | 'jwt'>,
): Promise<boolean> {
  const { rows } = await sql`
    update nats_account set revocations = ${JSON.stringify(revocations)}::jsonb, jwt = ${jwt}::text, revision = revision + 1
    where organization_id = ${account.organizationId}::uuid and revision = ${account.revision}::int returning 1`.execute(trx)
  return rows.length > 0
}

/** All of them. @param db pool of leasehold_bridge: row-level security shows it every account's */
export async function listNatsAccounts(db: Db): Promise<NatsAccount[]> {
  const { rows } = await sql<NatsAccount>`select ${columns} from nats_account order by account_id, organization_id`.execute(db).catch((error: unknown) => {
    throw translateError(error)
  })
  return rows
}

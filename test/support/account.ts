import { randomUUID } from 'node:crypto'
import pg from 'pg'
import type { Actor } from '#schemas/audit-event.ts'
import { AccountId, UserId } from '#schemas/ids.ts'
import type { Permission, Principal } from '#schemas/principal.ts'
import { seedAccount } from '#stack/seed-people.ts'
import { inAccount, type Db, type Transaction } from '#store/connection.ts'
import { readPrincipal } from '#store/principal.ts'
import type { TestDatabase } from './database.ts'

/** Exact `iss` of the people of test accounts, unless a test has a provider of its own. */
export const testIssuer = 'https://issuer.test'

export interface TestPerson {
  readonly userId: UserId
  readonly idpUserId: string
  readonly sub: string
  readonly actor: Actor
}

export interface TestAccount<Name extends string> {
  readonly id: AccountId
  readonly people: Readonly<Record<Name, TestPerson>>
  /** Runs one transaction of this account. */
  readonly run: <T>(decide: (trx: Transaction) => Promise<T>) => Promise<T>
  readonly principal: (name: Name) => Promise<Principal>
}

/**
 * Makes an account of its own for a test, with people by name.
 *
 * @param people name -> permissions in the whole account, or `owner`
 */
export async function createTestAccount<Name extends string>(
  database: TestDatabase,
  db: Db,
  people: Readonly<Record<Name, readonly Permission[] | 'owner'>>,
  issuer = testIssuer,
): Promise<TestAccount<Name>> {
  const id = AccountId.parse(randomUUID())
  const users = (Object.entries(people) as [Name, readonly Permission[] | 'owner'][]).map(([name, held]) => ({
    id: randomUUID(),
    idpId: randomUUID(),
    sub: `${name}-${id}`,
    name,
    email: `${name}@${id}.example`,
    role: { id: randomUUID(), name, owner: held === 'owner', permissions: held === 'owner' ? [] : held },
  }))
  const client = new pg.Client({ connectionString: database.ownerUrl })
  await client.connect()
  await seedAccount(client, { id, name: `account ${id}`, users }, issuer).finally(() => client.end())
  const made = users.map((user): [string, TestPerson] => [
    user.name,
    {
      userId: UserId.parse(user.id),
      idpUserId: user.idpId,
      sub: user.sub,
      actor: { kind: 'user', id: user.id, iss: issuer, sub: user.sub },
    },
  ])
  const byName = Object.fromEntries(made) as Record<Name, TestPerson>
  const run = <T>(decide: (trx: Transaction) => Promise<T>): Promise<T> => inAccount(db, id, decide)
  return {
    id,
    people: byName,
    run,
    principal: async (name) => {
      const principal = await run((trx) => readPrincipal(trx, byName[name].userId))
      if (principal === undefined) throw new Error(`no such person: ${name}`)
      return principal
    },
  }
}

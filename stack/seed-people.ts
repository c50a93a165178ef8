import pg from 'pg'
import { seededAccounts, type SeededAccount, type SeededUser } from './people.ts'

/**
 * Makes the seeded accounts, roles and users; what is there already stays as it is.
 *
 * @param ownerUrl connection URL of leasehold_owner
 * @param issuer exact `iss` of the tokens that these people will bring
 */
export async function seedPeople(ownerUrl: string, issuer: string): Promise<void> {
  const client = new pg.Client({ connectionString: ownerUrl })
  await client.connect()
  try {
    for (const account of seededAccounts) await seedAccount(client, account, issuer)
  } finally {
    await client.end()
  }
}

export async function seedAccount(client: pg.Client, account: SeededAccount, issuer: string): Promise<void> {
  await client.query('begin')
  await client.query(`select set_config('app.account', $1, true)`, [account.id])
  await client.query('insert into account (id, name) values ($1, $2) on conflict do nothing', [account.id, account.name])
  for (const user of account.users) await seedUser(client, account, user, issuer)
  await client.query('commit')
}

async function seedUser(client: pg.Client, account: SeededAccount, { id, idpId, sub, name, email, role }: SeededUser, issuer: string): Promise<void> {
  await client.query('insert into account_user (id, iss, sub, email, name) values ($1, $2, $3, $4, $5) on conflict do nothing', [id, issuer, sub, email, name])
  await client.query('insert into login (iss, sub, account_id, user_id) values ($1, $2, $3, $4) on conflict do nothing', [issuer, sub, account.id, id])
  await client.query('insert into idp_user (id, email, name, user_id, linked_at) values ($1, $2, $3, $4, app_clock()) on conflict do nothing', [
    idpId,
    email,
    name,
    id,
  ])
  await client.query('insert into role (id, name, owner) values ($1, $2, $3) on conflict do nothing', [role.id, role.name, role.owner])
  await client.query('insert into role_permission (role_id, permission) select $1, unnest($2::text[]) on conflict do nothing', [role.id, role.permissions])
  await client.query(
    `insert into role_assignment (role_id, user_id) select $1::uuid, $2::uuid
     where not exists (select from role_assignment where role_id = $1::uuid and user_id = $2::uuid)`,
    [role.id, id],
  )
}

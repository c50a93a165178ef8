import { sql } from 'kysely'
import type { Transaction } from './connection.ts'

/** Names of whatever in the account has one of these ids, for people who read a notice. @returns id -> name */
export async function nameFacts(trx: Transaction, values: readonly unknown[]): Promise<Record<string, string>> {
  const ids = values.filter((value): value is string => typeof value === 'string' && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value))
  if (ids.length === 0) return {}
  const { rows } = await sql<{ id: string; name: string }>`
    with wanted as (select unnest(${ids}::uuid[]) as id)
    select id, coalesce(name, email, sub) as name from account_user join wanted using (id)
    union all select id, name from organization join wanted using (id)
    union all select id, name from vault join wanted using (id)
    union all select id, name from identity join wanted using (id)
    union all select id, name from host join wanted using (id)
    union all select id, name from recertification join wanted using (id)
    union all select id, name from connector join wanted using (id)
    union all select id, name from notification_channel join wanted using (id)`.execute(trx)
  return Object.fromEntries(rows.map(({ id, name }) => [id, name]))
}

import { sql } from 'kysely'
import type { Db } from './connection.ts'

/** What an operator watches about emergency uses, over all accounts. */
export interface BreakGlassFigures {
  readonly unreviewed: number
  readonly oldestSeconds: number
}

/** @param db pool of leasehold_expirer */
export async function readBreakGlassFigures(db: Db): Promise<BreakGlassFigures> {
  const { rows } = await sql<BreakGlassFigures>`
    select count(*)::int as unreviewed, coalesce(max(extract(epoch from app_clock(account_id) - opened_at)), 0)::float8 as "oldestSeconds"
    from break_glass_review where state = 'open'`.execute(db)
  return rows[0] ?? { unreviewed: 0, oldestSeconds: 0 }
}

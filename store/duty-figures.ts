import { sql } from 'kysely'
import type { Db } from './connection.ts'
import type { ObligationKind } from './tables/duty.ts'

/** What an operator watches about one kind of duty, over all accounts. */
export interface DutyFigures {
  readonly kind: ObligationKind
  /** Owed and not quarantined, those that are not yet due included. */
  readonly undelivered: number
  /** Age of the oldest one that is due. */
  readonly lagSeconds: number
  readonly quarantined: number
}

/**
 * Reads the figures from the partial indexes of what is owed: it costs what is owed, not what there is.
 *
 * @param db pool of leasehold_relay or leasehold_bridge: row-level security shows each its own kinds
 */
export async function readDutyFigures(db: Db, kinds: readonly ObligationKind[]): Promise<DutyFigures[]> {
  const { rows } = await sql<DutyFigures>`
    select k.kind, owed.count::int as undelivered, given_up.count::int as quarantined,
      coalesce(extract(epoch from clock_timestamp() - owed.since), 0)::float8 as "lagSeconds"
    from unnest(${kinds}::text[]) k (kind)
    cross join lateral (select count(*) as count, min(o.due_since) filter (where o.due_since <= clock_timestamp()) as since
      from obligation o where o.kind = k.kind and o.delivered < o.version and o.quarantined_at is null) owed
    cross join lateral (select count(*) as count from obligation o where o.kind = k.kind and o.quarantined_at is not null) given_up`.execute(db)
  return rows
}

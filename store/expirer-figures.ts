import { sql } from 'kysely'
import type { Db } from './connection.ts'
import { translateError } from './postgres-error.ts'

/** What an operator watches about what should be over, over all accounts. */
export interface ExpirerFigures {
  readonly overdue: number
  readonly oldestSeconds: number
  /** Rotations that have been pending for longer than their organization allows. */
  readonly stuckRotations: number
  /** Stored values that a host is known to refuse. */
  readonly driftedCredentials: number
  /** Stored values whose host gives no answer. */
  readonly unreachableCredentials: number
}

/** @param db pool of leasehold_expirer */
export async function readExpirerFigures(db: Db): Promise<ExpirerFigures> {
  const { rows } = await sql<ExpirerFigures>`
    select l.overdue, l.oldest as "oldestSeconds", r.stuck as "stuckRotations",
      h.drifted as "driftedCredentials", h.unreachable as "unreachableCredentials"
    from (select count(*)::int as overdue, coalesce(max(extract(epoch from app_clock(account_id) - expires_at)), 0)::float8 as oldest
        from lease where state = 'active' and expires_at <= now() + (select coalesce(max(shift), interval '0') from clock_shift)
          and expires_at <= app_clock(account_id)) l,
      (select count(*)::int as stuck from rotation t join organization o on o.account_id = t.account_id and o.id = t.organization_id
        where t.state = 'pending' and t.started_at + make_interval(mins => o.rotation_limit_minutes) <= app_clock(t.account_id)) r,
      (select count(*) filter (where sync = 'drifted')::int as drifted, count(*) filter (where sync <> 'drifted')::int as unreachable
        from identity_host where sync = 'drifted' or unreachable_since is not null) h`
    .execute(db)
    .catch((error: unknown) => {
      throw translateError(error)
    })
  return rows[0] ?? { overdue: 0, oldestSeconds: 0, stuckRotations: 0, driftedCredentials: 0, unreachableCredentials: 0 }
}

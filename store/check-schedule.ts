import { sql } from 'kysely'
import type { IdentityId } from '#schemas/ids.ts'
import type { Transaction } from './connection.ts'

/**
 * Sets when an identity is checked next, at a moment of its own within its interval. One with a drifted host is not tried again by
 * itself, because a value that is refused often enough locks the account: a rotation or a person has to say first what is right.
 *
 * @param earliest share of the interval after which it may come; 0: at any time of it, for one that is new to the schedule
 */
export async function scheduleCheck(trx: Transaction, identityId: IdentityId, earliest = 0.9): Promise<void> {
  await sql`update identity i set next_check_at = case when i.deleted_at is null
      and not exists (select from identity_host h where h.identity_id = i.id and h.sync = 'drifted')
      then app_clock() + make_interval(secs => i.check_interval_hours * 3600 * (${earliest}::float8 + (1 - ${earliest}::float8) * random())) end
    where i.id = ${identityId}::uuid and (i.check_interval_hours is not null or i.next_check_at is not null)`.execute(trx)
}

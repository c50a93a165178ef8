import { sql, type RawBuilder } from 'kysely'
import type { PageRequest } from '#schemas/page.ts'

/**
 * The end of a query over things that happened, newest first, one more than the limit. The cursor names the last item of the
 * page before; one of another account names nothing and gives an empty page.
 *
 * @param table its alias in the query must be `t`
 * @param time column that orders it; the id breaks ties
 */
export function newestFirst(
  table: 'lease' | 'rotation' | 'rotation_campaign' | 'job' | 'audit_event' | 'access_request' | 'notice' | 'break_glass_review' | 'recertification',
  time: string,
  { limit, after }: PageRequest,
): RawBuilder<unknown> {
  const at = sql.ref(`t.${time}`)
  return sql`and (${after}::uuid is null or (${at}, t.id) < (select c.at, c.id from (select ${sql.ref(time)} as at, id from ${sql.table(table)}) c where c.id = ${after}::uuid))
    order by ${at} desc, t.id desc limit ${limit + 1}::int`
}

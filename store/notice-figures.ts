import { sql } from 'kysely'
import type { Db } from './connection.ts'

/** Messages that were tried and not delivered yet, over all accounts, by what carries them. */
export interface NoticeFigures {
  readonly carrier: 'installation_mail' | 'channel'
  readonly undelivered: number
  /** Age of the oldest of them. */
  readonly oldestSeconds: number
}

/** Both carriers, each with what waits for it. @param db pool of leasehold_expirer */
export async function readNoticeFigures(db: Db): Promise<readonly NoticeFigures[]> {
  const { rows } = await sql<NoticeFigures>`
    select carrier, count(d.id)::int as undelivered,
      coalesce(extract(epoch from clock_timestamp() - min(uuid_extract_timestamp(d.id))), 0)::float8 as "oldestSeconds"
    from (values ('installation_mail', true), ('channel', false)) c (carrier, is_mail)
    left join notice_delivery d on d.state = 'pending' and d.attempts > 0 and (d.channel_id is null) = c.is_mail
    group by carrier`.execute(db)
  return rows
}

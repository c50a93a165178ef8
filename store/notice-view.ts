import { sql } from 'kysely'
import type { UserId } from '#schemas/ids.ts'
import { noticeWords } from '#schemas/notice-text.ts'
import type { Notice, NoticeDelivery, NoticeQuery } from '#schemas/notice.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import type { Transaction } from './connection.ts'
import { newestFirst } from './newest-first.ts'

/** Whose notices: everybody's, or those of one person, with the messages to that person only. */
export type NoticeReader = { readonly all: true } | { readonly all: false; readonly userId: UserId }

type Row = Omit<Notice, 'title' | 'createdAt' | 'deliveries'> & { readonly createdAt: Date; readonly deliveries: readonly NoticeDelivery[] }

const select = (reader: NoticeReader) => {
  const [all, userId] = reader.all ? [true, null] : [false, reader.userId]
  return sql`
    select t.id, t.kind, t.severity, t.organization_id as "organizationId", jsonb_build_object('type', t.subject_type, 'id', t.subject_id) as subject,
      t.facts, t.created_at as "createdAt", array(select r.user_id from notice_recipient r where r.notice_id = t.id order by 1) as "recipientIds",
      coalesce((select jsonb_agg(jsonb_build_object('id', d.id, 'channelId', d.channel_id, 'channelName', c.name, 'userId', d.user_id, 'address', d.address,
          'state', d.state, 'attempts', d.attempts, 'nextAt', case when d.state = 'pending' then d.next_at end, 'deliveredAt', d.delivered_at,
          'receipt', d.receipt) order by d.id)
        from notice_delivery d left join notification_channel c on c.id = d.channel_id
        where d.notice_id = t.id and (${all}::boolean or d.user_id = ${userId}::uuid)), '[]') as deliveries
    from notice t
    where (${all}::boolean or exists (select from notice_recipient r where r.notice_id = t.id and r.user_id = ${userId}::uuid))`
}

const utc = (moment: string | null): string | null => (moment === null ? null : new Date(moment).toISOString())

function fromRow({ createdAt, deliveries, ...notice }: Row): Notice {
  const spoken = { ...notice, names: {}, createdAt: createdAt.toISOString() }
  return {
    ...notice,
    title: noticeWords(spoken).title,
    createdAt: spoken.createdAt,
    deliveries: deliveries.map((delivery) => ({ ...delivery, nextAt: utc(delivery.nextAt), deliveredAt: utc(delivery.deliveredAt) })),
  }
}

/** Newest first. */
export async function listNotices(
  trx: Transaction,
  reader: NoticeReader,
  query: Omit<NoticeQuery, 'limit' | 'cursor'>,
  page: PageRequest,
): Promise<Page<Notice>> {
  const { rows } = await sql<Row>`
    ${select(reader)}
      and (${query.kind ?? null}::text is null or t.kind = ${query.kind ?? null}::text)
      and (${query.severity ?? null}::text is null or t.severity = ${query.severity ?? null}::text)
      and (${query.subjectId ?? null}::uuid is null or t.subject_id = ${query.subjectId ?? null}::uuid)
      ${newestFirst('notice', 'created_at', page)}`.execute(trx)
  return toPage(rows.map(fromRow), page.limit)
}

/** @returns undefined for what the reader is not told of */
export async function findNotice(trx: Transaction, reader: NoticeReader, id: string): Promise<Notice | undefined> {
  const { rows } = await sql<Row>`${select(reader)} and t.id = ${id}::uuid`.execute(trx)
  return rows[0] && fromRow(rows[0])
}

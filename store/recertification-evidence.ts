import { sql } from 'kysely'
import type { UserId } from '#schemas/ids.ts'
import type { Notice } from '#schemas/notice.ts'
import type { Transaction } from './connection.ts'
import { listNotices } from './notice-view.ts'
import { everyItem, type RecertificationItemView } from './recertification-item.ts'
import type { RecertificationView } from './recertification.ts'

export interface RecertificationEvent {
  readonly id: string
  readonly at: Date
  readonly action: string
  readonly outcome: string
  readonly actor: { readonly kind: string; readonly id: string | null; readonly sub: string | null }
  readonly detail: Readonly<Record<string, unknown>> | null
}

/** All that the tables say about a recertification. */
export interface RecertificationEvidenceFacts {
  readonly reviewers: readonly { readonly id: UserId; readonly name: string | null; readonly email: string | null }[]
  readonly items: readonly RecertificationItemView[]
  readonly events: readonly RecertificationEvent[]
  readonly told: readonly Notice[]
}

const mostNotices = 200

export async function readRecertificationEvidence(trx: Transaction, { id }: RecertificationView): Promise<RecertificationEvidenceFacts> {
  const { rows: reviewers } = await sql<RecertificationEvidenceFacts['reviewers'][number]>`
    select u.id, coalesce(u.name, u.sub) as name, u.email from reviewers_of(${id}::uuid) r join account_user u on u.id = r.user_id order by 2, 1`.execute(trx)
  // Found by who could have written them, who reviews no more among them, because the log has no other order that fits.
  const { rows: events } = await sql<RecertificationEvent>`
    with asked as (select * from recertification where id = ${id}::uuid),
    writers as (
      select started_by::text as id from asked union select closed_by::text from asked where closed_by is not null
      union select decided_by::text from recertification_item where recertification_id = ${id}::uuid and decided_by is not null
      union select i.user_id::text from asked join recertification_reviewer r on r.recertification_id = asked.id
        left join idp_group_member m on m.group_id = r.idp_group_id and (m.valid_to is null or m.valid_to > asked.opened_at)
        join idp_user i on i.id = coalesce(r.idp_user_id, m.idp_user_id)
      union select 'recertification:' || account_id || ':' || id from asked
    ),
    removed as (select coalesce(grant_id, assignment_id)::text as id from recertification_item where recertification_id = ${id}::uuid and state = 'remove')
    select a.id, a.at, a.action, a.outcome, jsonb_build_object('kind', a.actor_kind, 'id', a.actor_id, 'sub', a.actor_sub) as actor, a.detail
    from asked, writers w join audit_event a on a.actor_id = w.id
    where a.at >= asked.opened_at and a.effect = 'permit' and ((a.action like 'recertification.%' and a.detail ->> 'recertificationId' = ${id}::text)
      or (a.action in ('grant.revoked', 'role.unassigned') and coalesce(a.detail ->> 'grantId', a.detail ->> 'assignmentId') in (select r.id from removed r)))
    order by a.at, a.id`.execute(trx)
  const told = await listNotices(trx, { all: true }, { subjectId: id }, { limit: mostNotices, after: null })
  return { reviewers, items: await everyItem(trx, id), events, told: told.items }
}

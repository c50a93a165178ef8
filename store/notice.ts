import { sql } from 'kysely'
import type { OrganizationId, UserId } from '#schemas/ids.ts'
import type { NoticeKind, NoticeSeverity, NoticeSubject } from '#schemas/notice.ts'
import type { Transaction } from './connection.ts'
import { owe } from './duties.ts'

export interface Notice {
  readonly kind: NoticeKind
  readonly severity: NoticeSeverity
  readonly subject: NoticeSubject
  /** Whose channels are told besides those of the account. */
  readonly organizationId?: OrganizationId | null
  /** `admins`: every owner and every holder of `pam_vaults.manage` in the whole account, as they are now. */
  readonly to: 'admins' | readonly UserId[]
  /** Ids, states and times; never a secret and never free text. */
  readonly facts?: Readonly<Record<string, string | number | boolean | null>>
}

/** Those that do not wait for a workflow. */
const urgent = new WeakMap<Transaction, string[]>()

/** Critical notices that this transaction has raised: whoever commits it tries them at once. */
export const urgentNotices = (trx: Transaction): readonly string[] => urgent.get(trx) ?? []

/**
 * Writes down, in the transaction of a fact, whom it is told to and by which messages: people and channels are those of this
 * instant. Sending them is owed from then on, where there are any.
 *
 * @returns the id of the notice, the same in every message that carries it
 */
export async function raiseNotice(trx: Transaction, { kind, severity, subject, organizationId = null, to, facts = {} }: Notice): Promise<string> {
  const people = to === 'admins' ? admins : sql`select id as user_id from account_user where id = any(${to}::uuid[])`
  const { rows } = await sql<{ id: string; told: boolean }>`
    with raised as (
      insert into notice (kind, severity, organization_id, subject_type, subject_id, facts)
      values (${kind}::text, ${severity}::text, ${organizationId}::uuid, ${subject.type}::text, ${subject.id}::uuid, ${JSON.stringify(facts)}::jsonb) returning id
    ),
    told as (insert into notice_recipient (notice_id, user_id) select raised.id, people.user_id from raised, (${people}) people returning user_id),
    mailable as (select u.id as user_id from told join account_user u on u.id = told.user_id where u.email is not null),
    taking as (
      select c.id, c.type, c.settings -> 'to' as addresses, c.dead_since is null as works from notification_channel c
      where c.deleted_at is null and (c.organization_id is null or c.organization_id = ${organizationId}::uuid) and c.id <> ${subject.id}::uuid
        and (${severity}::text = 'critical' or ${rank(sql`c.minimum_severity`)} <= ${rank(sql`${severity}::text`)} and (c.kinds is null or ${kind}::text = any(c.kinds)))
    ),
    messages (channel_id, user_id, address) as (
      select id, null::uuid, null::text from taking where type <> 'smtp'
      union all select t.id, null, a from taking t, jsonb_array_elements_text(t.addresses) a where t.type = 'smtp' and t.addresses is not null
      union all select t.id, m.user_id, null from taking t, mailable m where t.type = 'smtp' and t.addresses is null
      union all select null, m.user_id, null from mailable m
        where ${severity}::text = 'critical' or not exists (select from taking where type = 'smtp' and addresses is null and works)
    ),
    planned as (insert into notice_delivery (notice_id, channel_id, user_id, address, urgent)
      select distinct raised.id, m.*, ${severity}::text = 'critical' from raised, messages m)
    select id, exists (select from messages) as told from raised`.execute(trx)
  const { id, told } = rows[0] as { id: string; told: boolean }
  // Without messages there is nothing to send, and nobody who would ever end the duty.
  if (told) await owe(trx, 'notification', id)
  if (severity === 'critical') urgent.set(trx, [...urgentNotices(trx), id])
  return id
}

const rank = (severity: ReturnType<typeof sql>) => sql`array_position(array['info', 'warning', 'critical'], ${severity})`

const admins = sql`
  select distinct h.user_id from held_role h join account_user u on u.id = h.user_id and u.state = 'active'
    left join role_permission p on p.role_id = h.role_id and p.permission = 'pam_vaults.manage'
  where h.organization_id is null and (h.owner or p.permission is not null)`

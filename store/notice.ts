import { sql } from 'kysely'
import type { OrganizationId, UserId } from '#schemas/ids.ts'
import type { NoticeKind, NoticeSeverity, NoticeSubject } from '#schemas/notice.ts'
import type { Transaction } from './connection.ts'

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

/**
 * Writes down, in the transaction of a fact, whom it is told to. Telling them is owed from then on.
 *
 * @returns the id of the notice, the same in every message that carries it
 */
export async function raiseNotice(trx: Transaction, { kind, severity, subject, organizationId = null, to, facts = {} }: Notice): Promise<string> {
  const people = to === 'admins' ? admins : sql`select id as user_id from account_user where id = any(${to}::uuid[])`
  const { rows } = await sql<{ id: string }>`
    with raised as (
      insert into notice (kind, severity, organization_id, subject_type, subject_id, facts)
      values (${kind}::text, ${severity}::text, ${organizationId}::uuid, ${subject.type}::text, ${subject.id}::uuid, ${JSON.stringify(facts)}::jsonb) returning id
    ),
    told as (insert into notice_recipient (notice_id, user_id) select raised.id, people.user_id from raised, (${people}) people)
    select id from raised`.execute(trx)
  return (rows[0] as { id: string }).id
}

const admins = sql`
  select distinct h.user_id from held_role h join account_user u on u.id = h.user_id and u.state = 'active'
    left join role_permission p on p.role_id = h.role_id and p.permission = 'pam_vaults.manage'
  where h.organization_id is null and (h.owner or p.permission is not null)`

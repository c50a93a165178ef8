import { sql } from 'kysely'
import { LeaseholdError } from '#schemas/errors.ts'
import type { OrganizationId, RecertificationId, UserId, VaultId } from '#schemas/ids.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import type { RecertificationItem } from '#schemas/recertification.ts'
import type { Sealed } from '#schemas/sealed.ts'
import type { ItemDecision } from '#schemas/states.ts'
import type { Transaction } from './connection.ts'
import { pageClause } from './page.ts'

/** One grant or role of somebody, and what was decided about it; the comment is still sealed. */
export interface RecertificationItemView extends Pick<
  RecertificationItem,
  'id' | 'kind' | 'grantId' | 'level' | 'assignmentId' | 'roleId' | 'what' | 'principal' | 'grantedBy' | 'decidedBy'
> {
  readonly vaultId: VaultId | null
  readonly organizationId: OrganizationId | null
  readonly since: Date
  readonly until: Date | null
  readonly lastUsedAt: Date | null
  readonly decision: ItemDecision
  readonly decidedAt: Date | null
  readonly comment: Sealed | null
  /** Since when the access is no more; null: it is there. */
  readonly endedAt: Date | null
  /** Whether it is the reader's own, or of a group that they are in or have been in since the recertification began. */
  readonly isOwn: boolean
}

type Row = Omit<RecertificationItemView, 'comment'> & { readonly commentCiphertext: Buffer | null; readonly commentKeyId: string | null }

const nameOf = (user: string) => {
  const u = sql.ref(user)
  return sql`case when ${u}.id is not null then jsonb_build_object('id', ${u}.id, 'name', coalesce(${u}.name, ${u}.sub)) end`
}

/** Who has the access of item `i`, whatever kind of holder that is. */
export const holderOf = sql`coalesce(i.user_id, i.idp_user_id, i.idp_group_id)`

/** @param reader whose own items are told apart; null: nobody's */
const items = (of: RecertificationId, reader: UserId | null) => sql`
  select i.id, case when i.grant_id is null then 'role' else 'grant' end as kind, i.grant_id as "grantId", i.vault_id as "vaultId", i.level,
    i.assignment_id as "assignmentId", i.role_id as "roleId", i.organization_id as "organizationId", i.what,
    jsonb_build_object('type', case when i.idp_group_id is null then 'user' else 'group' end, 'id', ${holderOf},
      'name', i.holder) as principal,
    i.since, i.until, ${nameOf('b')} as "grantedBy", i.last_used_at as "lastUsedAt", i.state as decision, ${nameOf('d')} as "decidedBy",
    i.decided_at as "decidedAt", i.comment_ciphertext as "commentCiphertext", i.comment_key_id as "commentKeyId",
    case when i.grant_id is null then a.valid_to else least(g.valid_to, case when g.expires_at <= app_clock() then g.expires_at end) end as "endedAt",
    ${holderOf} in (select h.id from holders_of(${reader}::uuid, (select t.opened_at from recertification t where t.id = ${of}::uuid)) h where h.id is not null) as "isOwn"
  from recertification_item i
    left join vault_grant g on g.id = i.grant_id left join role_assignment a on a.id = i.assignment_id
    left join account_user b on b.id = i.granted_by left join account_user d on d.id = i.decided_by`

const fromRow = ({ commentCiphertext: ciphertext, commentKeyId: keyId, ...row }: Row): RecertificationItemView => ({
  ...row,
  comment: ciphertext === null || keyId === null ? null : { encryptionVersion: 2, keyId, ciphertext },
})

/** @throws LeaseholdError `not-found` */
export async function readItem(trx: Transaction, of: RecertificationId, id: string, reader: UserId | null): Promise<RecertificationItemView> {
  const { rows } = await sql<Row>`${items(of, reader)} where i.id = ${id}::uuid and i.recertification_id = ${of}::uuid`.execute(trx)
  if (rows[0] === undefined) throw new LeaseholdError('not-found')
  return fromRow(rows[0])
}

/**
 * Takes the lock that every decision about an item waits for, by a statement of its own, and reads the item behind it.
 *
 * @throws LeaseholdError `not-found`
 */
export async function lockItem(trx: Transaction, of: RecertificationId, id: string, reader: UserId | null): Promise<RecertificationItemView> {
  await sql`select from recertification_item where id = ${id}::uuid and recertification_id = ${of}::uuid for no key update`.execute(trx)
  return readItem(trx, of, id, reader)
}

export async function listItems(
  trx: Transaction,
  of: RecertificationId,
  reader: UserId | null,
  decision: ItemDecision | undefined,
  page: PageRequest,
): Promise<Page<RecertificationItemView>> {
  const { rows } = await sql<Row>`${items(of, reader)} where i.recertification_id = ${of}::uuid
    and (${decision ?? null}::text is null or i.state = ${decision ?? null}::text) ${pageClause(sql`i.id`, page)}`.execute(trx)
  return toPage(rows.map(fromRow), page.limit)
}

/** Of a recertification, in order, without a page. */
export async function everyItem(trx: Transaction, of: RecertificationId): Promise<readonly RecertificationItemView[]> {
  const { rows } = await sql<Row>`${items(of, null)} where i.recertification_id = ${of}::uuid order by i.id`.execute(trx)
  return rows.map(fromRow)
}

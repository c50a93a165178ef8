import { sql } from 'kysely'
import type { RecertificationId } from '#schemas/ids.ts'
import type { Transaction } from './connection.ts'
import { holderOf } from './recertification-item.ts'

/** What shows that somebody used a grant: a value was given to them, or they kept one for longer. */
const uses = ['lease.granted', 'lease.replayed', 'lease.credential_read', 'lease.extended', 'identity.revealed']

/** When `p.actor` did last what these conditions say. The order is that of the index, also where there is no vault. */
const last = (...conditions: readonly ReturnType<typeof sql>[]) => sql`(
  select e.at from audit_event e where e.actor_id = p.actor and e.effect = 'permit' and ${sql.join(conditions, sql` and `)} order by e.vault_id desc, e.at desc limit 1)`

const there = sql`e.vault_id = p.vault_id`
const nowhere = sql`e.vault_id is null`
const inOrganization = sql`e.organization_id = (select organization_id from asked)`

/**
 * Notes on every item when what it is about was used last. Each person is looked up once and each vault that they ever did something in, by
 * their index, one after the other: neither how long the log is counts, nor how many groups and grants name the same people.
 */
export async function noteLastUse(trx: Transaction, id: RecertificationId): Promise<void> {
  await sql`
    with recursive asked as materialized (select organization_id from recertification where id = ${id}::uuid),
    item as materialized (select i.id, i.vault_id, i.organization_id, ${holderOf} as holder from recertification_item i where i.recertification_id = ${id}::uuid),
    holder as materialized (select distinct holder as id from item),
    member (holder, actor) as materialized (
      select h.id, u.id::text from holder h join account_user u on u.id = h.id
      union all select h.id, d.user_id::text from holder h join idp_user d on d.id = h.id where d.user_id is not null
      union all select h.id, d.user_id::text from holder h join idp_group_member m on m.group_id = h.id and m.valid_to is null
        join idp_user d on d.id = m.idp_user_id where d.user_id is not null
    ),
    person as materialized (select distinct actor from member),
    place (actor, vault_id) as (
      select p.actor, first.vault_id from person p cross join lateral (
        select e.vault_id from audit_event e where e.actor_id = p.actor and e.vault_id is not null order by e.vault_id limit 1) first
      union all select p.actor, next.vault_id from place p cross join lateral (
        select e.vault_id from audit_event e where e.actor_id = p.actor and e.vault_id > p.vault_id order by e.vault_id limit 1) next
    ),
    used as materialized (
      select m.holder, p.vault_id, max(p.at) as at
      from (select p.actor, p.vault_id, ${last(there, sql`e.action = any(${uses}::text[])`, sql`not e.break_glass`)} as at from place p) p
        join member m on m.actor = p.actor group by 1, 2
    ),
    did as materialized (
      select m.holder, max(p.anywhere) as anywhere, max(p.here) as here
      from (select p.actor, ${last(there)} as anywhere, ${last(there, inOrganization)} as here from place p
          union all select p.actor, ${last(nowhere)}, ${last(nowhere, inOrganization)} from (
            select distinct m.actor from item i join member m on m.holder = i.holder where i.vault_id is null) p) p
        join member m on m.actor = p.actor group by 1
    ),
    found as materialized (
      select i.id, u.at from item i join used u on u.holder = i.holder and u.vault_id = i.vault_id
      union all select i.id, case when i.organization_id is null then d.anywhere else d.here end from item i join did d on d.holder = i.holder where i.vault_id is null
    )
    update recertification_item t set last_used_at = f.at from found f where t.id = f.id and t.recertification_id = ${id}::uuid and f.at is not null`.execute(
    trx,
  )
}

import { sql } from 'kysely'
import type { Through } from '#schemas/access.ts'
import type { OrganizationId, UserId, VaultId } from '#schemas/ids.ts'
import { toPage, type Page, type PageRequest } from '#schemas/page.ts'
import type { Permission } from '#schemas/principal.ts'
import type { Transaction } from './connection.ts'
import { pageClause } from './page.ts'
import type { VaultPlace } from './principal.ts'

export interface Holder {
  readonly id: UserId
  readonly name: string | null
  readonly email: string | null
}

/** Active users who have a role in the organization of the vault, or a grant on it, and support staff while they are let in. */
export async function listHolders(trx: Transaction, { vaultId, organizationId }: VaultPlace, page: PageRequest): Promise<Page<Holder>> {
  const { rows } = await sql<Holder>`
    select u.id, u.name, u.email from account_user u where u.state = 'active'
      and (u.id in (select h.user_id from held_role h where h.organization_id is null or h.organization_id = ${organizationId}::uuid)
        or u.id in (select h.user_id from held_grant h where h.vault_id = ${vaultId}::uuid)
        or (u.support and exists (select from support_access w where ${isOpen}))) ${pageClause(sql`u.id`, page)}`.execute(trx)
  return toPage(rows, page.limit)
}

/** Whether window `w` lets support staff in. */
const isOpen = sql<boolean>`w.state = 'open' and (w.expires_at is null or w.expires_at > app_clock())`

/** Through what each of these users has access to each of these vaults. */
export async function readPaths(
  trx: Transaction,
  userIds: readonly UserId[],
  vaults: readonly VaultPlace[],
): Promise<(user: UserId, vault: VaultPlace) => Through[]> {
  const [roles, grants, windows] = await Promise.all([
    sql<{ userId: UserId; organizationId: OrganizationId | null; through: Through }>`
      select h.user_id as "userId", h.organization_id as "organizationId", jsonb_build_object('type', 'role', 'assignmentId', h.assignment_id,
        'role', jsonb_build_object('id', h.role_id, 'name', h.role_name), 'owner', h.owner,
        'permissions', (select coalesce(jsonb_agg(p.permission order by p.permission), '[]') from role_permission p where p.role_id = h.role_id),
        'group', ${groupOf}) as through
      from held_role h left join idp_group g on g.id = h.idp_group_id where h.user_id = any(${userIds}::uuid[]) order by h.assignment_id`.execute(trx),
    sql<{ userId: UserId; vaultId: VaultId; endsAt: Date | null; through: Omit<Extract<Through, { type: 'grant' }>, 'endsAt'> }>`
      select h.user_id as "userId", h.vault_id as "vaultId", h.ends_at as "endsAt",
        jsonb_build_object('type', 'grant', 'grantId', h.grant_id, 'level', h.level, 'group', ${groupOf}) as through
      from held_grant h left join idp_group g on g.id = h.idp_group_id
      where h.user_id = any(${userIds}::uuid[]) and h.vault_id = any(${vaults.map(({ vaultId }) => vaultId)}::uuid[]) order by h.grant_id`.execute(trx),
    sql<{ userId: UserId; endsAt: Date | null; through: Omit<Extract<Through, { type: 'support' }>, 'endsAt'> }>`
      select u.id as "userId", w.expires_at as "endsAt", jsonb_build_object('type', 'support', 'windowId', w.id, 'permissions', w.permissions) as through
      from account_user u, support_access w where u.id = any(${userIds}::uuid[]) and u.support and ${isOpen}`.execute(trx),
  ])
  return (user, { vaultId, organizationId }) => [
    ...roles.rows.filter((row) => row.userId === user && (row.organizationId === null || row.organizationId === organizationId)).map((row) => row.through),
    ...grants.rows
      .filter((row) => row.userId === user && row.vaultId === vaultId)
      .map((row) => ({ ...row.through, endsAt: row.endsAt?.toISOString() ?? null })),
    ...windows.rows.filter((row) => row.userId === user).map((row) => ({ ...row.through, endsAt: row.endsAt?.toISOString() ?? null })),
  ]
}

const groupOf = sql`case when g.id is null then null else jsonb_build_object('id', g.id, 'name', g.name) end`

/**
 * Whom to ask for a permission or for access to a vault: at most five names, those who hold `permission` here before owners.
 *
 * @param organizationId null: the account itself
 */
export async function whomToAsk(trx: Transaction, permission: Permission, organizationId: OrganizationId | null, caller: UserId): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select coalesce(u.name, u.email) as name from account_user u
      join held_role h on h.user_id = u.id and (h.organization_id is null or h.organization_id = ${organizationId}::uuid)
    where u.state = 'active' and u.id <> ${caller}::uuid and coalesce(u.name, u.email) is not null
      and (h.owner or exists (select from role_permission p where p.role_id = h.role_id and p.permission = ${permission}::text))
    group by u.account_id, u.id order by bool_and(h.owner), 1 limit 5`.execute(trx)
  return rows.map((row) => row.name)
}

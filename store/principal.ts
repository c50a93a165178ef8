import { sql } from 'kysely'
import { LeaseholdError } from '#schemas/errors.ts'
import type { AccountId, OrganizationId, UserId, VaultId } from '#schemas/ids.ts'
import type { GrantLevel, Permission, Principal } from '#schemas/principal.ts'
import { hasPermission, vaultAccess } from '#schemas/rules/access.ts'
import type { Db, Transaction } from './connection.ts'
import { translateError } from './postgres-error.ts'

/** Whose token this is. Runs without an account: the table holds nothing but this mapping. */
export async function findLogin(db: Db, iss: string, sub: string): Promise<{ accountId: AccountId; userId: UserId } | undefined> {
  const { rows } = await sql<{ accountId: AccountId; userId: UserId }>`
    select account_id as "accountId", user_id as "userId" from login where iss = ${iss}::text and sub = ${sub}::text`
    .execute(db)
    .catch((error: unknown) => {
      throw translateError(error)
    })
  return rows[0]
}

interface PrincipalRow extends Omit<Principal, 'grants' | 'support'> {
  readonly support: (Omit<NonNullable<Principal['support']>, 'endsAt'> & { readonly endsAt: string | null }) | null
  readonly grants: readonly (Omit<Principal['grants'][number], 'endsAt'> & { readonly endsAt: string | null })[]
}

/** The user and all that the user's rights follow from, as they are now; undefined when there is no such active user, or it is one of support and no window is open. */
export async function readPrincipal(trx: Transaction, userId: UserId): Promise<Principal | undefined> {
  const { rows } = await sql<PrincipalRow>`
    with clock as materialized (select app_clock() as now),
    idp as (select i.id, i.groups_issued_at from idp_user i where i.user_id = ${userId}::uuid and i.state = 'active'),
    support as (
      select w.id, w.version, w.permissions, w.expires_at from support_access w, clock
      where w.state = 'open' and (w.expires_at is null or w.expires_at > clock.now)
        and exists (select from account_user u where u.id = ${userId}::uuid and u.support)
    ),
    member as (
      select m.id, m.group_id from idp_group_member m, idp, clock
      where m.idp_user_id = idp.id and m.valid_from <= clock.now and (m.valid_to is null or m.valid_to > clock.now)
    ),
    assigned as (
      select a.id, a.role_id, r.version as role_version, a.organization_id, r.owner from role_assignment a join role r on r.id = a.role_id, clock
      where (a.user_id = ${userId}::uuid or a.idp_user_id in (select id from idp) or a.idp_group_id in (select group_id from member))
        and a.valid_from <= clock.now and (a.valid_to is null or a.valid_to > clock.now)
        and not exists (select from account_user u where u.id = ${userId}::uuid and u.support)
    ),
    granted as (
      select g.id, g.vault_id, g.level, least(g.expires_at, g.valid_to) as ends_at from vault_grant g, clock
      where (g.idp_user_id in (select id from idp) or g.idp_group_id in (select group_id from member))
        and g.valid_from <= clock.now and (g.valid_to is null or g.valid_to > clock.now) and (g.expires_at is null or g.expires_at > clock.now)
    )
    select u.account_id as "accountId", u.id as "userId", u.iss, u.sub, u.name, u.email,
      (select id from idp) as "idpUserId",
      (select jsonb_build_object('roleIds', coalesce(jsonb_agg(r.id), '[]'), 'roleVersions', coalesce(jsonb_agg(r.version), '[]'),
        'assignmentIds', (select coalesce(jsonb_agg(id), '[]') from assigned), 'membershipIds', (select coalesce(jsonb_agg(id), '[]') from member))
        from (select distinct role_id as id, role_version as version from assigned) r) as basis,
      array(select distinct group_id from member) as "groupIds",
      (select groups_issued_at from idp) as "groupsIssuedAt",
      (select p.version from policy_set p where p.in_force) as "policyVersion",
      exists (select from assigned where owner and organization_id is null) as owner,
      (select jsonb_build_object('windowId', id, 'version', version, 'endsAt', expires_at) from support) as support,
      coalesce((select jsonb_agg(distinct jsonb_build_object('name', h.name, 'organizationId', h.organization_id)) from (
        select p.permission as name, a.organization_id from assigned a join role_permission p on p.role_id = a.role_id
        union all select unnest(permissions), null from support) h), '[]') as permissions,
      coalesce((select jsonb_agg(jsonb_build_object('id', id, 'vaultId', vault_id, 'level', level, 'endsAt', ends_at)) from granted), '[]') as grants
    from account_user u where u.id = ${userId}::uuid and u.state = 'active' and (not u.support or exists (select from support))`.execute(trx)
  const row = rows[0]
  if (row === undefined) return undefined
  return {
    ...row,
    grants: row.grants.map((grant) => ({ ...grant, endsAt: moment(grant.endsAt) })),
    support: row.support && { ...row.support, endsAt: moment(row.support.endsAt) },
  }
}

const moment = (text: string | null): Date | null => (text === null ? null : new Date(text))

/** A vault and the organization it belongs to. */
export interface VaultPlace {
  readonly vaultId: VaultId
  readonly organizationId: OrganizationId
}

/**
 * Takes the rows that a principal's right to use a vault rests on `FOR KEY SHARE`. A revocation takes the same rows
 * `FOR UPDATE` first: either it waits for us and then sees our lease, or we see here that the row is not what it was. Support staff
 * queue at an advisory lock besides, which is fair: a crowd of them does not keep waiting whoever closes the window.
 *
 * @returns whether all of them are as they were when the principal was read; else it must be read again, behind this lock
 */
export async function lockAuthority(trx: Transaction, { userId, idpUserId, basis, grants, support }: Principal, { vaultId }: VaultPlace): Promise<boolean> {
  const grantIds = grants.filter((grant) => grant.vaultId === vaultId).map((grant) => grant.id)
  const { assignmentIds, membershipIds, roleIds, roleVersions } = basis
  const { rows } = await sql<{ found: number }>`select
      (select count(pg_advisory_xact_lock_shared(hashtextextended('support access ' || w.account_id, 0)))
        from (select account_id from support_access where id = ${support?.windowId ?? null}::uuid) w)
      + (select count(*) from (select from support_access where id = ${support?.windowId ?? null}::uuid and version = ${support?.version ?? null}::int
          and state = 'open' and (expires_at is null or expires_at > app_clock()) for key share) locked)
      + (select count(*) from (select from account_user where id = ${userId}::uuid and state = 'active' for key share) locked)
      + (select count(*) from (select from idp_user where id = ${idpUserId}::uuid and user_id = ${userId}::uuid and state = 'active' for key share) locked)
      + (select count(*) from (select from role r where r.id = any(${roleIds}::uuid[])
          and r.version = (${roleVersions}::int[])[array_position(${roleIds}::uuid[], r.id)] for key share) locked)
      + (select count(*) from (select from role_assignment where id = any(${assignmentIds}::uuid[]) and valid_to is null for key share) locked)
      + (select count(*) from (select from idp_group_member where id = any(${membershipIds}::uuid[]) and valid_to is null for key share) locked)
      + (select count(*) from (select from vault_grant where id = any(${grantIds}::uuid[]) and valid_to is null
          and (expires_at is null or expires_at > app_clock()) for key share) locked)
      + (select count(*) from (select from vault where id = ${vaultId}::uuid for key share) locked) as found`.execute(trx)
  const expected =
    (support === null ? 0 : 2) + 2 + (idpUserId === null ? 0 : 1) + roleIds.length + assignmentIds.length + membershipIds.length + grantIds.length
  return Number(rows[0]?.found) === expected
}

/**
 * Whether a principal that holds behind `lockAuthority` may use the vault at `level`.
 *
 * @returns when the right ends by itself (null: it does not)
 * @throws LeaseholdError `forbidden`
 */
function requireVaultAccess(now: Principal | undefined, { vaultId, organizationId }: VaultPlace, level: GrantLevel): { readonly endsAt: Date | null } {
  if (now === undefined || !hasPermission(now, 'pam_vaults.view', organizationId)) throw new LeaseholdError('forbidden', { missing: 'pam_vaults.view' })
  const access = vaultAccess(now, vaultId, level)
  if (access === undefined) throw new LeaseholdError('forbidden', { missing: `vault access: ${level}` })
  return access
}

/**
 * Judges the principal behind `lockAuthority`: as it was read, or read again where something has changed.
 *
 * @param unchanged what `lockAuthority` returned
 * @returns when the right ends by itself (null: it does not)
 * @throws LeaseholdError `forbidden`
 */
export const judgeVaultAccess = async (trx: Transaction, principal: Principal, vault: VaultPlace, level: GrantLevel, unchanged: boolean) =>
  requireVaultAccess(unchanged ? principal : await readPrincipal(trx, principal.userId), vault, level)

/**
 * Locks what the principal's right to use a vault rests on, and judges it there.
 *
 * @returns when the right ends by itself (null: it does not)
 * @throws LeaseholdError `forbidden`
 */
export async function confirmVaultAccess(
  trx: Transaction,
  principal: Principal,
  vault: VaultPlace,
  level: GrantLevel,
): Promise<{ readonly endsAt: Date | null }> {
  return judgeVaultAccess(trx, principal, vault, level, await lockAuthority(trx, principal, vault))
}

const emergency: Permission = 'pam_vaults.break_glass'

/**
 * Locks what the principal's right to break the glass rests on, and judges it there: a permission without a grant, which does not
 * end by itself.
 *
 * @throws LeaseholdError `forbidden`
 */
export async function confirmEmergency(trx: Transaction, principal: Principal, vault: VaultPlace): Promise<{ readonly endsAt: null }> {
  const now = (await lockAuthority(trx, principal, vault)) ? principal : await readPrincipal(trx, principal.userId)
  if (now === undefined || !hasPermission(now, emergency, vault.organizationId)) throw new LeaseholdError('forbidden', { missing: emergency })
  return { endsAt: null }
}

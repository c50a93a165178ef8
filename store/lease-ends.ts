import { sql } from 'kysely'
import type { IdentityId, LeaseId, OrganizationId, RotationId, UserId, VaultId } from '#schemas/ids.ts'
import { appendAudits } from './audit.ts'
import type { Transaction } from './connection.ts'
import { oweEach } from './duties.ts'
import { owedTrigger } from '#schemas/rules/rotation.ts'
import type { LeaseEndCause, LeaseMode } from '#schemas/states.ts'
import type { OwedRotation } from './owed-rotations.ts'
import { isUnchangeable } from './rotatable.ts'
import type { Release } from './release-lease.ts'

/** The statements that end leases, many at once. The caller holds the locks of their identities. */

export interface EndedLease {
  readonly leaseId: LeaseId
  readonly identityId: IdentityId
  readonly organizationId: OrganizationId
  readonly vaultId: VaultId
  readonly userId: UserId
  readonly mode: LeaseMode
  /** `expired` becomes `grant_ended` where the holder's access ended with it, and `superseded` where an emergency cut it short. */
  readonly cause: LeaseEndCause
  /** What was shown under it must be rotated away. */
  readonly condemned: boolean
}

type EndOf = Omit<Release, 'leaseId'>

/** Locks the identities of these leases, but for those that somebody else holds the lock of. */
export async function lockFreeIdentities(trx: Transaction, leaseIds: readonly LeaseId[]): Promise<IdentityId[]> {
  const { rows } = await sql<{ id: IdentityId }>`
    select i.id from identity i where i.id in (select l.identity_id from lease l where l.id = any(${leaseIds}::uuid[]) and l.state = 'active')
    order by i.id for no key update skip locked`.execute(trx)
  return rows.map((row) => row.id)
}

/** Ends those of the leases that are active (cause `expired`: and due), and condemns what was shown under them where that must die. */
export async function endRows(
  trx: Transaction,
  identityIds: readonly IdentityId[],
  leaseIds: readonly LeaseId[],
  { cause, endedBy, expectedVersion }: EndOf,
): Promise<EndedLease[]> {
  const { rows } = await sql<EndedLease>`
    with ended as (
      update lease l set state = 'ended', ended_at = app_clock(), end_cause = case
        when ${cause}::text = 'expired' and l.superseded_at is not null then 'superseded'
        when ${cause}::text = 'expired' and l.grant_ends_at <= l.expires_at then 'grant_ended' else ${cause}::text end, ended_by = ${endedBy ?? null}::uuid
      from identity i where l.id = any(${leaseIds}::uuid[]) and i.id = l.identity_id and i.id = any(${identityIds}::uuid[]) and l.state = 'active'
        and (${cause}::text <> 'expired' or (l.expires_at <= app_clock() and l.version = coalesce(${expectedVersion ?? null}::int, l.version)))
      returning l.id, l.end_cause, l.identity_id, l.organization_id, l.vault_id, l.user_id, l.mode, i.rotate_after_use or l.mode = 'break_glass' as must_die
    ),
    condemned as (
      update exposure e set must_die_at = app_clock() from ended where e.lease_id = ended.id and ended.must_die and e.must_die_at is null returning e.lease_id
    )
    select id as "leaseId", identity_id as "identityId", organization_id as "organizationId", vault_id as "vaultId", user_id as "userId", mode, end_cause as cause,
      id in (select lease_id from condemned) as condemned from ended order by id`.execute(trx)
  return rows
}

/** An identity that nobody holds any more and that owes something. */
export interface Restless extends OwedRotation {
  readonly openRotationId: RotationId | null
  /** Since when what was shown must be rotated away. */
  readonly owedSince: Date | null
  /** Each of its hosts can change its type of credential. Without hosts a person has to, who is called for after an emergency only. */
  readonly rotatable: boolean
}

/** Those of the identities that nobody holds any more and that have an open, an owed or a due rotation. */
export async function listRestless(trx: Transaction, identityIds: readonly IdentityId[]): Promise<Restless[]> {
  const { rows } = await sql<Omit<Restless, 'trigger'> & { readonly breakGlass: boolean; readonly lostAccess: boolean }>`
    select i.id as "identityId", i.organization_id as "organizationId", i.vault_id as "vaultId", r.id as "openRotationId",
      owed.since as "owedSince", coalesce(owed.break_glass, false) as "breakGlass", coalesce(owed.lost_access, false) as "lostAccess",
      case when hosts.known is null then coalesce(owed.break_glass, false) else not ${isUnchangeable} end as rotatable,
      case when i.next_rotation_at <= app_clock() then i.next_rotation_at end as "dueAt"
    from identity i
      left join rotation r on r.identity_id = i.id and r.state = 'pending'
      cross join lateral (select min(h.known_version) as known from identity_host h where h.identity_id = i.id) hosts
      cross join lateral (select min(e.must_die_at) as since, bool_or(l.mode = 'break_glass') as break_glass, bool_and(e.lost_access) as lost_access
        from exposure e left join lease l on l.id = e.lease_id
        where e.identity_id = i.id and e.must_die_at is not null and e.version >= coalesce(hosts.known, i.current_version)) owed
    where i.id = any(${identityIds}::uuid[]) and not exists (select from lease l where l.identity_id = i.id and l.state = 'active')
      and (r.id is not null or owed.since is not null or i.next_rotation_at <= app_clock())`.execute(trx)
  return rows.map(({ breakGlass, lostAccess, dueAt, ...identity }) =>
    identity.owedSince === null ? { ...identity, dueAt, trigger: 'scheduled' } : { ...identity, dueAt: null, trigger: owedTrigger({ breakGlass, lostAccess }) },
  )
}

/** Ended leases under which something was shown that must die wait for the rotation of their identity. @returns which wait for which */
export async function bindLeases(
  trx: Transaction,
  owed: readonly { readonly identityId: IdentityId; readonly rotationId: RotationId; readonly owedSince: Date }[],
): Promise<Map<LeaseId, RotationId>> {
  const columns = [owed.map((one) => one.identityId), owed.map((one) => one.rotationId), owed.map((one) => one.owedSince)] as const
  const { rows } = await sql<{ id: LeaseId; rotation_id: RotationId }>`
    update lease l set rotation_id = o.rotation_id
    from unnest(${columns[0]}::uuid[], ${columns[1]}::uuid[], ${columns[2]}::timestamptz[]) o (identity_id, rotation_id, since)
    where l.identity_id = o.identity_id and l.state = 'ended' and l.rotation_id is null
      and exists (select from exposure e where e.lease_id = l.id and e.must_die_at >= o.since and not e.lost_access) returning l.id, l.rotation_id`.execute(trx)
  return new Map(rows.map((row) => [row.id, row.rotation_id]))
}

/** One audit event and one duty for each end. @param rotations what each ended lease waits for */
export async function recordEnds(trx: Transaction, ends: readonly EndedLease[], rotations: ReadonlyMap<LeaseId, RotationId>, end: EndOf): Promise<void> {
  const { actor, reason } = end
  await appendAudits(
    trx,
    ends.map(({ condemned: _condemned, cause, mode, ...lease }) => ({
      actor,
      action: 'lease.ended',
      effect: 'permit',
      outcome: cause,
      breakGlass: mode === 'break_glass',
      ...lease,
      rotationId: rotations.get(lease.leaseId) ?? null,
      ...(reason === undefined ? {} : { reason }),
    })),
  )
  await oweEach(
    trx,
    'lease',
    ends.map(({ leaseId, condemned }) => ({ subjectId: leaseId, closed: !condemned && !rotations.has(leaseId) })),
  )
}

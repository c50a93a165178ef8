import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import type { HostId, IdentityId, LeaseId, OrganizationId, UserId, VaultId } from '#schemas/ids.ts'
import { appendAudits } from './audit.ts'
import type { Transaction } from './connection.ts'
import { oweEach } from './duties.ts'
import { raiseNotice } from './notice.ts'

interface Shortened {
  readonly leaseId: LeaseId
  readonly identityId: IdentityId
  readonly organizationId: OrganizationId
  readonly vaultId: VaultId
  readonly hostId: HostId | null
  readonly userId: UserId
  readonly expiresAt: Date
}

/**
 * An emergency use is over and its password must die: whoever else holds one of these identities gives it back after the grace of
 * the organization, nobody gets it anew, and then it rotates. The caller holds the locks of the identities.
 *
 * The leases keep their workflow and the expirer, which end them as they end every lease.
 */
export async function drainIdentities(trx: Transaction, identityIds: readonly IdentityId[], actor: Actor): Promise<void> {
  if (identityIds.length === 0) return
  const { rows } = await sql<Shortened>`
    with held as (
      select i.id, app_clock() as now, app_clock() + make_interval(mins => o.break_glass_grace_minutes) as ends_at
      from identity i join organization o on o.id = i.organization_id
      where i.id = any(${identityIds}::uuid[]) and exists (select from lease l where l.identity_id = i.id and l.state = 'active')
    ),
    drained as (update identity i set draining_since = coalesce(i.draining_since, held.now) from held where i.id = held.id),
    shortened as (
      -- Never before its start: without a grace it ends a moment after it began.
      update lease l set expires_at = greatest(held.ends_at, l.started_at + interval '1 millisecond'), superseded_at = held.now, version = l.version + 1
      from held where l.identity_id = held.id and l.state = 'active' and l.expires_at > held.ends_at
      returning l.id, l.identity_id, l.organization_id, l.vault_id, l.host_id, l.user_id, l.version, l.expires_at, held.now
    ),
    terms as (insert into lease_term (lease_id, version, expires_at, set_at) select id, version, expires_at, now from shortened)
    select id as "leaseId", identity_id as "identityId", organization_id as "organizationId", vault_id as "vaultId", host_id as "hostId", user_id as "userId",
      expires_at as "expiresAt" from shortened`.execute(trx)
  if (rows.length === 0) return
  await appendAudits(
    trx,
    rows.map((lease) => ({ actor, action: 'lease.shortened', effect: 'permit', outcome: 'success', ...lease })),
  )
  await oweEach(
    trx,
    'lease',
    rows.map(({ leaseId }) => ({ subjectId: leaseId, closed: false })),
  )
  for (const { leaseId, identityId, organizationId, userId, expiresAt } of rows) {
    await raiseNotice(trx, {
      kind: 'lease.ends_early',
      severity: 'warning',
      subject: { type: 'lease', id: leaseId },
      organizationId,
      to: [userId],
      facts: { identityId, expiresAt: expiresAt.toISOString() },
    })
  }
}

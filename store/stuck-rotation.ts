import { sql } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import type { IdentityId, OrganizationId, RotationId, VaultId } from '#schemas/ids.ts'
import type { WaitCause } from '#schemas/states.ts'
import { appendAudit } from './audit.ts'
import { isOnline } from './connector.ts'
import type { Transaction } from './connection.ts'
import { raiseNotice } from './notice.ts'

/** When rotation `t` has been pending for too long, by the setting of its organization. */
export const stuckAt = sql`(t.started_at + make_interval(mins => (select o.rotation_limit_minutes from organization o where o.id = t.organization_id)))`
export const isStuck = sql<boolean>`(t.state = 'pending' and ${stuckAt} <= app_clock())`

/**
 * What the pending rotation `t` waits for, host by host, as JSON: the first cause that fits. Without a host it is a person, or the worker
 * that makes the value.
 */
export const waitsFor = sql`
  case when t.state <> 'pending' then '[]'::jsonb
    when not exists (select from job j where j.rotation_id = t.id) then jsonb_build_array(jsonb_build_object('hostId', null,
      'cause', case when t.needs_attention then 'person' else 'worker' end, 'since', t.started_at, 'until', null, 'userId', null))
    else coalesce((select jsonb_agg(jsonb_build_object('hostId', j.host_id, 'cause', w.cause, 'since', w.since, 'until', w.until, 'userId', w.user_id) order by j.host_id)
      from job j join connector c on c.id = j.connector_id
        left join lateral (select l.user_id, l.started_at, l.expires_at from lease l where l.identity_id = t.identity_id and l.state = 'active'
          and (l.host_id is null or l.host_id = j.host_id) order by l.expires_at desc limit 1) held on j.state = 'waiting'
        cross join lateral (
          select 1 as rank, 'person' as cause, j.doubt_since as since, null::timestamptz as until, null::uuid as user_id where t.needs_attention and j.state = 'doubt'
          union all select 2, 'connector-revoked', c.revoked_at, null, null where c.state = 'revoked'
          union all select 3, 'connector-offline', c.last_seen_at, null, null where not ${isOnline}
          union all select 4, 'lease', held.started_at, held.expires_at, held.user_id where held.user_id is not null
          union all select 5, 'connector', j.claimed_at, j.lease_until, null where j.state = 'claimed'
          union all select 6, 'probe', j.doubt_since, j.next_at, null where j.state = 'doubt'
          union all select 7, 'worker', t.started_at, null, null where t.staged_version is null
          union all select 8, 'target', j.claimed_at, j.next_at, null where j.reason_class is not null
          union all select 9, 'offer', null, null, null
          order by rank limit 1) w
      where j.rotation_id = t.id and j.state in ('waiting', 'claimed', 'doubt')), '[]') end`

interface Stuck {
  readonly organizationId: OrganizationId
  readonly vaultId: VaultId
  readonly identityId: IdentityId
  readonly startedAt: Date
  readonly waitsFor: readonly { readonly cause: WaitCause; readonly hostId: string | null }[]
}

/** Tells the admins that a rotation has been pending for too long, and why; once, and not when it is over or not too long yet. */
export async function tellStuck(trx: Transaction, rotationId: RotationId, actor: Actor): Promise<void> {
  const { rows } = await sql<Stuck>`
    update rotation t set stuck_told_at = app_clock(), version = version + 1 where t.id = ${rotationId}::uuid and t.stuck_told_at is null and ${isStuck}
    returning t.organization_id as "organizationId", t.vault_id as "vaultId", t.identity_id as "identityId", t.started_at as "startedAt", ${waitsFor} as "waitsFor"`.execute(
    trx,
  )
  const [stuck] = rows
  if (stuck === undefined) return
  const { organizationId, vaultId, identityId } = stuck
  const [first] = stuck.waitsFor
  const cause = first?.cause ?? 'worker'
  await raiseNotice(trx, {
    kind: 'rotation.stuck',
    severity: 'warning',
    subject: { type: 'rotation', id: rotationId },
    organizationId,
    to: 'admins',
    facts: { identityId, vaultId, hostId: first?.hostId ?? null, cause, startedAt: stuck.startedAt.toISOString() },
  })
  await appendAudit(trx, { actor, action: 'rotation.stuck', effect: 'permit', outcome: cause, organizationId, vaultId, identityId, rotationId })
}

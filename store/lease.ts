import { sql } from 'kysely'
import { LeaseholdError } from '#schemas/errors.ts'
import type { HostId, IdentityId, LeaseId, OrganizationId, RotationId, UserId, VaultId } from '#schemas/ids.ts'
import type { LeaseFacts } from '#schemas/lease-facts.ts'
import type { LeaseEndCause, LeaseMode, LeaseState, RotationState } from '#schemas/states.ts'
import type { Transaction } from './connection.ts'
import { isAlive } from './exposure.ts'

interface LeaseRow {
  id: LeaseId
  organization_id: OrganizationId
  vault_id: VaultId
  identity_id: IdentityId
  host_id: HostId | null
  user_id: UserId
  mode: LeaseMode
  state: LeaseState
  slot: number
  version: number
  credential_version: number
  requested_minutes: number
  started_at: Date
  expires_at: Date
  remaining_ms: number
  ended_at: Date | null
  end_cause: LeaseEndCause | null
  rotation: { id: RotationId; state: RotationState } | null
  rotation_owed: boolean
  terms: { version: number; expiresAt: string; setAt: string }[]
}

/** The lease as it is now, for its workflow and for answers; undefined when there is none in this account. */
export async function readLeaseFacts(trx: Transaction, leaseId: LeaseId): Promise<LeaseFacts | undefined> {
  const { rows } = await sql<LeaseRow>`
    select l.id, l.organization_id, l.vault_id, l.identity_id, l.host_id, l.user_id, l.mode, l.state, l.slot, l.version, l.credential_version,
      l.requested_minutes, l.started_at, l.expires_at, l.ended_at, l.end_cause,
      greatest(0, extract(epoch from l.expires_at - app_clock()) * 1000)::float8 as remaining_ms,
      exists (select from exposure e where e.lease_id = l.id and e.must_die_at is not null and not e.lost_access
        and ${isAlive}) as rotation_owed,
      (select jsonb_build_object('id', r.id, 'state', r.state) from rotation r where r.id = l.rotation_id) as rotation,
      (select jsonb_agg(jsonb_build_object('version', t.version, 'expiresAt', t.expires_at, 'setAt', t.set_at) order by t.version)
        from lease_term t where t.lease_id = l.id) as terms
    from lease l join identity i on i.id = l.identity_id where l.id = ${leaseId}::uuid`.execute(trx)
  const row = rows[0]
  return (
    row && {
      leaseId: row.id,
      organizationId: row.organization_id,
      vaultId: row.vault_id,
      identityId: row.identity_id,
      hostId: row.host_id,
      userId: row.user_id,
      mode: row.mode,
      state: row.state,
      slot: row.slot,
      version: row.version,
      credentialVersion: row.credential_version,
      requestedMinutes: row.requested_minutes,
      startedAt: row.started_at.toISOString(),
      expiresAt: row.expires_at.toISOString(),
      remainingMs: Math.ceil(row.remaining_ms),
      endedAt: row.ended_at?.toISOString() ?? null,
      endCause: row.end_cause,
      rotationOwed: row.rotation_owed,
      rotation: row.rotation,
      terms: row.terms.map((term) => ({ version: term.version, expiresAt: new Date(term.expiresAt).toISOString(), setAt: new Date(term.setAt).toISOString() })),
    }
  )
}

/** As readLeaseFacts. @throws LeaseholdError `not-found` */
export async function readLease(trx: Transaction, leaseId: LeaseId): Promise<LeaseFacts> {
  const facts = await readLeaseFacts(trx, leaseId)
  if (facts === undefined) throw new LeaseholdError('not-found')
  return facts
}

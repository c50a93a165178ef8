import { sql, type RawBuilder } from 'kysely'
import type { Actor } from '#schemas/audit-event.ts'
import type { ConnectorId, HostId, IdentityId, JobId, OrganizationId, VaultId } from '#schemas/ids.ts'
import type { CheckTurn } from '#schemas/rules/check.ts'
import type { CheckOutcome } from '#schemas/states.ts'
import { appendAudit } from './audit.ts'
import { isOnline } from './connector.ts'
import type { Transaction } from './connection.ts'

/** The check of one account on one host, as its deciders see it. */
export interface CheckRow extends CheckTurn {
  readonly id: JobId
  readonly organizationId: OrganizationId
  readonly vaultId: VaultId
  readonly identityId: IdentityId
  readonly hostId: HostId
  readonly connectorId: ConnectorId
  readonly epoch: number
  readonly instance: string | null
  /** What it came to; null: nothing yet. */
  readonly outcome: CheckOutcome | null
  /** The schedule asked, and not a person. */
  readonly scheduled: boolean
  /** The version that is tried is still the one that the host is known to have, and no rotation is about to change it. */
  readonly counts: boolean
}

/** Undefined when there is none in this account, or its connector is another one. */
export async function readCheck(trx: Transaction, id: JobId): Promise<CheckRow | undefined> {
  const { rows } = await sql<CheckRow>`
    select k.id, k.organization_id as "organizationId", k.vault_id as "vaultId", k.identity_id as "identityId", k.host_id as "hostId",
      k.connector_id as "connectorId", k.state, k.epoch, k.claims, k.offers, k.instance, k.outcome, k.requested_by is null as scheduled, ${isOnline} as online,
      coalesce(extract(epoch from k.lease_until - app_clock()) * 1000, 0)::float8 as "holdMs",
      exists (select from credential_check s where s.identity_id = k.identity_id and s.id <> k.id and s.state = 'claimed') as taken,
      exists (select from identity_host h where h.identity_id = k.identity_id and h.host_id = k.host_id and h.known_version = k.version)
        and not exists (select from rotation r where r.identity_id = k.identity_id and r.state = 'pending') as counts
    from credential_check k join connector c on c.id = k.connector_id where k.id = ${id}::uuid`.execute(trx)
  return rows[0]
}

/**
 * Ends the open checks `k` of which this holds, as a statement or a CTE: what they were to find out is about to change. Their results
 * count nothing, nor does what is still to come of those that were given up.
 */
export const checksCancelled = (which: RawBuilder<unknown>): RawBuilder<unknown> =>
  sql`update credential_check k set state = case k.state when 'done' then 'done' else 'cancelled' end, finished_at = coalesce(k.finished_at, app_clock()),
      instance = case when k.state <> 'done' then k.instance end
    where (k.state in ('waiting', 'claimed') or k.state = 'done' and k.outcome in ('unreachable', 'unknown') and k.instance is not null) and ${which}`

/** One audit event about a check. */
export async function auditCheck(
  trx: Transaction,
  check: Pick<CheckRow, 'id' | 'organizationId' | 'vaultId' | 'identityId' | 'hostId' | 'connectorId'>,
  actor: Actor,
  action: string,
  outcome: string,
  detail: Readonly<Record<string, unknown>>,
): Promise<void> {
  const { id, organizationId, vaultId, identityId, hostId, connectorId } = check
  await appendAudit(trx, {
    actor,
    action,
    effect: 'permit',
    outcome,
    organizationId,
    vaultId,
    identityId,
    hostId,
    connectorId,
    detail: { jobId: id, kind: 'check', ...detail },
  })
}

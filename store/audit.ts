import { sql, type RawBuilder } from 'kysely'
import type { AuditEntry } from '#schemas/audit-event.ts'
import type { Transaction } from './connection.ts'

/**
 * The insert of one audit event, to stand alone or as a CTE of a larger write, so that a fact and its proof cost one round trip.
 * The id (uuidv7) and the time are given by PostgreSQL.
 */
export function auditInsert(entry: AuditEntry): RawBuilder<unknown> {
  const { actor } = entry
  return sql`insert into audit_event (
    actor_kind, actor_id, actor_iss, actor_sub, ip, user_agent, correlation_id, trace_id, action, purpose, effect, outcome,
    organization_id, vault_id, identity_id, host_id, user_id, lease_id, rotation_id, connector_id,
    reason_ciphertext, reason_key_id, requested_minutes, expires_at, break_glass, decision_id, resource_ref, detail
  ) values (
    ${actor.kind}::text, ${actor.id}::text, ${actor.iss ?? null}::text, ${actor.sub ?? null}::text, ${actor.ip ?? null}::inet,
    ${actor.userAgent ?? null}::text, ${actor.correlationId ?? null}::text, ${actor.traceId ?? null}::text,
    ${entry.action}::text, ${entry.purpose ?? null}::text, ${entry.effect}::text, ${entry.outcome}::text,
    ${entry.organizationId ?? null}::uuid, ${entry.vaultId ?? null}::uuid, ${entry.identityId ?? null}::uuid, ${entry.hostId ?? null}::uuid,
    ${entry.userId ?? null}::uuid, ${entry.leaseId ?? null}::uuid, ${entry.rotationId ?? null}::uuid, ${entry.connectorId ?? null}::uuid,
    ${entry.reason?.ciphertext ?? null}::bytea, ${entry.reason?.keyId ?? null}::text, ${entry.requestedMinutes ?? null}::int,
    ${entry.expiresAt ?? null}::timestamptz, ${entry.breakGlass ?? false}::boolean, ${entry.decisionId ?? null}::uuid,
    ${entry.resourceRef ?? null}::text, ${entry.detail === undefined ? null : JSON.stringify(entry.detail)}::jsonb
  )`
}

/** Appends one event to the account's audit log, inside the transaction of the fact that it proves. */
export async function appendAudit(trx: Transaction, entry: AuditEntry): Promise<void> {
  await auditInsert(entry).execute(trx)
}

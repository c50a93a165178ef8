import { sql, type RawBuilder } from 'kysely'
import type { AuditEntry } from '#schemas/audit-event.ts'
import type { Transaction } from './connection.ts'

const columns = sql`actor_kind, actor_id, actor_iss, actor_sub, ip, user_agent, correlation_id, trace_id, action, purpose, effect, outcome,
    organization_id, vault_id, identity_id, host_id, user_id, lease_id, rotation_id, request_id, connector_id,
    reason_ciphertext, reason_key_id, requested_minutes, expires_at, break_glass, decision_id, resource_ref, detail`

/**
 * The insert of one audit event, to stand alone or as a CTE of a larger write, so that a fact and its proof cost one round trip.
 * The id (uuidv7) and the time are given by PostgreSQL.
 */
export function auditInsert(entry: AuditEntry): RawBuilder<unknown> {
  const { actor } = entry
  return sql`insert into audit_event (
    ${columns}
  ) values (
    ${actor.kind}::text, ${actor.id}::text, ${actor.iss ?? null}::text, ${actor.sub ?? null}::text, ${actor.ip ?? null}::inet,
    ${actor.userAgent ?? null}::text, ${actor.correlationId ?? null}::text, ${actor.traceId ?? null}::text,
    ${entry.action}::text, ${entry.purpose ?? null}::text, ${entry.effect}::text, ${entry.outcome}::text,
    ${entry.organizationId ?? null}::uuid, ${entry.vaultId ?? null}::uuid, ${entry.identityId ?? null}::uuid, ${entry.hostId ?? null}::uuid,
    ${entry.userId ?? null}::uuid, ${entry.leaseId ?? null}::uuid, ${entry.rotationId ?? null}::uuid, ${entry.requestId ?? null}::uuid, ${entry.connectorId ?? null}::uuid,
    ${entry.reason?.ciphertext ?? null}::bytea, ${entry.reason?.keyId ?? null}::text, ${entry.requestedMinutes ?? null}::int,
    ${entry.expiresAt ?? null}::timestamptz, ${entry.breakGlass ?? false}::boolean, ${entry.decisionId ?? actor.decisionId ?? null}::uuid,
    ${entry.resourceRef ?? null}::text, ${entry.detail === undefined ? null : JSON.stringify(entry.detail)}::jsonb
  )`
}

/** Appends one event to the account's audit log, inside the transaction of the fact that it proves. */
export async function appendAudit(trx: Transaction, entry: AuditEntry): Promise<void> {
  await auditInsert(entry).execute(trx)
}

/** Appends many events in one statement, inside the transaction of the facts that they prove. */
export async function appendAudits(trx: Transaction, entries: readonly AuditEntry[]): Promise<void> {
  const rows = JSON.stringify(entries.map(rowOf))
  await sql`insert into audit_event (${columns}) select ${columns} from jsonb_populate_recordset(null::audit_event, ${rows}::jsonb)`.execute(trx)
}

/** The event under the names of its columns; what is absent is null there. */
function rowOf(entry: AuditEntry): Record<string, unknown> {
  const { actor, reason } = entry
  return {
    actor_kind: actor.kind,
    actor_id: actor.id,
    actor_iss: actor.iss,
    actor_sub: actor.sub,
    ip: actor.ip,
    user_agent: actor.userAgent,
    correlation_id: actor.correlationId,
    trace_id: actor.traceId,
    action: entry.action,
    purpose: entry.purpose,
    effect: entry.effect,
    outcome: entry.outcome,
    organization_id: entry.organizationId,
    vault_id: entry.vaultId,
    identity_id: entry.identityId,
    host_id: entry.hostId,
    user_id: entry.userId,
    lease_id: entry.leaseId,
    rotation_id: entry.rotationId,
    request_id: entry.requestId,
    connector_id: entry.connectorId,
    reason_ciphertext: reason && `\\x${Buffer.from(reason.ciphertext).toString('hex')}`,
    reason_key_id: reason?.keyId,
    requested_minutes: entry.requestedMinutes,
    expires_at: entry.expiresAt,
    break_glass: entry.breakGlass ?? false,
    decision_id: entry.decisionId ?? actor.decisionId,
    resource_ref: entry.resourceRef,
    detail: entry.detail,
  }
}

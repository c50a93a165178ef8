import type { Generated } from 'kysely'
import type { AccountId } from '#schemas/ids.ts'
import type { Id, Account, Moment, Json } from './columns.ts'

/** The audit log: columns of store/migrations. */

export interface AuditEventTable {
  account_id: Account
  id: Id<string>
  at: Generated<Date>
  actor_kind: 'user' | 'client' | 'connector' | 'workflow' | 'system'
  actor_id: string | null
  actor_iss: string | null
  actor_sub: string | null
  action: string
  purpose: string | null
  effect: 'permit' | 'deny'
  outcome: string
  organization_id: string | null
  vault_id: string | null
  identity_id: string | null
  host_id: string | null
  user_id: string | null
  lease_id: string | null
  rotation_id: string | null
  session_id: string | null
  request_id: string | null
  connector_id: string | null
  reason_ciphertext: Buffer | null
  reason_key_id: string | null
  requested_minutes: number | null
  expires_at: Moment
  break_glass: Generated<boolean>
  decision_id: string | null
  correlation_id: string | null
  trace_id: string | null
  ip: string | null
  user_agent: string | null
  resource_ref: string | null
  detail: Json<Record<string, unknown>> | null
}
export interface AuditPendingTable {
  account_id: AccountId
  event_id: string
}

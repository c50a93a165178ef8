import type { Generated } from 'kysely'
import type { DutyKind } from '#schemas/duty.ts'
import type { UserId } from '#schemas/ids.ts'
import type { Account, Moment } from './columns.ts'

/** Duties, and what loops and retries remember: columns of store/migrations. */

export type ObligationKind = DutyKind
export interface ObligationTable {
  account_id: Account
  kind: ObligationKind
  subject_id: string
  version: Generated<number>
  delivered: Generated<number>
  closed: Generated<boolean>
  claimed_until: Moment
  attempts: Generated<number>
  next_at: Generated<Date>
  due_since: Generated<Date>
  quarantined_at: Moment
  last_error: string | null
}
export interface RelayStateTable {
  singleton: Generated<boolean>
  last_temporal_call_at: Moment
  temporal_namespace_id: string | null
}
export interface IdempotencyRecordTable {
  account_id: Account
  user_id: UserId
  key: string
  route: string
  request_hash: Buffer
  resource_id: string
  created_at: Generated<Date>
}

import { sql, type RawBuilder } from 'kysely'
import type { HostId, IdentityId, LeaseId, UserId } from '#schemas/ids.ts'
import type { Transaction } from './connection.ts'

export interface Exposure {
  readonly identityId: IdentityId
  readonly hostId: HostId | null
  /** The version of the credential that was shown. */
  readonly version: number
  readonly userId: UserId
  /** Null: a reveal, without a lease. */
  readonly leaseId: LeaseId | null
}

/**
 * Records that a value was shown to somebody. The duty to rotate follows from these rows and from nothing else.
 *
 * @param shown false: writes nothing, for statements that may or may not show a value
 */
export function exposureInsert({ identityId, hostId, version, userId, leaseId }: Exposure, shown = true): RawBuilder<unknown> {
  return sql`insert into exposure (identity_id, host_id, version, user_id, lease_id)
    select ${identityId}::uuid, ${hostId}::uuid, ${version}::int, ${userId}::uuid, ${leaseId}::uuid where ${shown}::boolean`
}

/** A value has come back as another version: whoever has seen it knows that one too, and what had to die has to die again. */
export async function exposeAgain(trx: Transaction, identityId: IdentityId, version: number, sameAs: readonly number[]): Promise<void> {
  await sql`insert into exposure (identity_id, host_id, version, user_id, lease_id, exposed_at, must_die_at, lost_access)
    select distinct on (user_id, lease_id, host_id) identity_id, host_id, ${version}::int, user_id, lease_id, exposed_at, must_die_at, lost_access
    from exposure where identity_id = ${identityId}::uuid and version = any(${sameAs}::int[]) order by user_id, lease_id, host_id, must_die_at nulls last`.execute(
    trx,
  )
}

/** Whether exposure `e` is of a value of identity `i` that some host still takes, or that is the present one where there are no hosts. */
export const isAlive = sql<boolean>`e.version >= coalesce((select min(h.known_version) from identity_host h where h.identity_id = i.id), i.current_version)`

/** Whether some value of identity `i` must die that a host of it still has. */
export const isOwed = sql<boolean>`exists (select from exposure e where e.identity_id = i.id and e.must_die_at is not null
  and ${isAlive})`

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

/**
 * A value has come back as another version: whoever has seen it knows that one too, and what had to die has to die again. An SSH key
 * is the same one however its text is written.
 *
 * @param sameAs versions that had the very same text
 * @returns whether anybody has seen it
 */
export async function exposeAgain(trx: Transaction, identityId: IdentityId, version: number, sameAs: readonly number[] = []): Promise<boolean> {
  const { numAffectedRows } = await sql`insert into exposure (identity_id, host_id, version, user_id, lease_id, exposed_at, must_die_at, lost_access)
    select distinct on (e.user_id, e.lease_id, e.host_id) e.identity_id, e.host_id, ${version}::int, e.user_id, e.lease_id, e.exposed_at, e.must_die_at, e.lost_access
    from exposure e where e.identity_id = ${identityId}::uuid and (e.version = any(${sameAs}::int[]) or exists (select from credential_version old, credential_version new
      where old.identity_id = e.identity_id and old.version = e.version and new.identity_id = e.identity_id and new.version = ${version}::int
        and old.version <> new.version and old.public_key = new.public_key))
    order by e.user_id, e.lease_id, e.host_id, e.must_die_at nulls last`.execute(trx)
  return (numAffectedRows ?? 0n) > 0n
}

/** Whether exposure `e` is of a value of identity `i` that some host still takes, or that is the present one where there are no hosts. */
export const isAlive = sql<boolean>`e.version >= coalesce((select min(h.known_version) from identity_host h where h.identity_id = i.id), i.current_version)`

/** Whether some value of identity `i` must die that a host of it still has. */
export const isOwed = sql<boolean>`exists (select from exposure e where e.identity_id = i.id and e.must_die_at is not null
  and ${isAlive})`

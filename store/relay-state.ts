import { sql } from 'kysely'
import type { Db, Transaction } from './connection.ts'
import { translateError } from './postgres-error.ts'

/**
 * Records a good call to Temporal: the heartbeat that standard checkouts depend on.
 *
 * @param namespaceId UUID of the namespace; a new one means that Temporal lost everything
 * @returns whether the namespace is another one than before
 */
export async function recordTemporalCall(db: Db, namespaceId: string): Promise<{ namespaceChanged: boolean }> {
  const { rows } = await sql<{ changed: boolean }>`
    update relay_state set last_temporal_call_at = clock_timestamp(), temporal_namespace_id = ${namespaceId}::text
    returning old.temporal_namespace_id is distinct from new.temporal_namespace_id as changed`
    .execute(db)
    .catch((error: unknown) => {
      throw translateError(error)
    })
  return { namespaceChanged: rows[0]?.changed ?? false }
}

/** ms since the relay's last good call to Temporal; Infinity when there was none. */
export async function temporalSilence(db: Db | Transaction): Promise<number> {
  const { rows } = await sql<{ ms: number | null }>`
    select (extract(epoch from clock_timestamp() - last_temporal_call_at) * 1000)::float8 as ms from relay_state`.execute(db)
  return rows[0]?.ms ?? Number.POSITIVE_INFINITY
}

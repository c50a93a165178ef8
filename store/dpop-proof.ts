import { sql } from 'kysely'
import type { Db } from './connection.ts'
import { translateError } from './postgres-error.ts'

/**
 * Remembers a proof for good, as far as every replica and every restart is concerned.
 *
 * @param digest SHA-256 over the key's thumbprint and the proof's jti, 32 bytes
 * @returns false when it was used before
 */
export async function rememberProof(db: Db, digest: Uint8Array): Promise<boolean> {
  const { numAffectedRows } = await sql`insert into dpop_proof (digest) values (${digest}::bytea) on conflict do nothing`.execute(db).catch(rethrow)
  return numAffectedRows === 1n
}

/**
 * Drops what is too old to be believed again.
 *
 * @param db pool of leasehold_expirer
 * @returns how many it dropped; `limit` means that there may be more
 */
export async function forgetProofs(db: Db, limit: number): Promise<number> {
  const { numAffectedRows } = await sql`delete from dpop_proof where digest in (
    select digest from dpop_proof where forget_at <= clock_timestamp() order by forget_at limit ${limit}::int)`
    .execute(db)
    .catch(rethrow)
  return Number(numAffectedRows ?? 0)
}

function rethrow(error: unknown): never {
  throw translateError(error)
}

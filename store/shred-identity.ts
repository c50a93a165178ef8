import { sql } from 'kysely'
import type { IdentityId } from '#schemas/ids.ts'
import type { Transaction } from './connection.ts'

/** Takes its values and its place from an identity; the caller holds its lock. */
export async function shredIdentity(trx: Transaction, id: IdentityId): Promise<void> {
  await sql`
    with shredded as (update credential_version set ciphertext = null where identity_id = ${id}::uuid),
    forgotten as (delete from password_history where identity_id = ${id}::uuid),
    untied as (delete from identity_host where identity_id = ${id}::uuid)
    update identity set deleted_at = app_clock(), next_rotation_at = null, next_check_at = null, version = version + 1 where id = ${id}::uuid`.execute(trx)
}

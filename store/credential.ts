import { sql } from 'kysely'
import type { IdentityId, RotationId } from '#schemas/ids.ts'
import type { Sealed } from '#schemas/sealed.ts'
import type { Transaction } from './connection.ts'

const keptOldHashes = 10

/**
 * Stores one version of a credential with its history hash. Versions are never overwritten.
 *
 * @param value.hash keyed hash of the value, 32 bytes; the newest and 10 old ones are kept
 * @param rotationId the rotation that made it; null: a person stored it
 */
export async function storeVersion(
  trx: Transaction,
  identityId: IdentityId,
  value: { readonly version: number; readonly sealed: Sealed; readonly hash: Uint8Array },
  rotationId: RotationId | null,
): Promise<void> {
  const { version, sealed, hash } = value
  await sql`
    with stored as (
      insert into credential_version (identity_id, version, encryption_version, key_id, ciphertext, rotation_id)
      values (${identityId}::uuid, ${version}::int, ${sealed.encryptionVersion}::int, ${sealed.keyId}::text, ${sealed.ciphertext}::bytea, ${rotationId}::uuid)
    ),
    trimmed as (
      delete from password_history where identity_id = ${identityId}::uuid and version not in (
        select version from password_history where identity_id = ${identityId}::uuid order by version desc limit ${keptOldHashes}::int)
    )
    insert into password_history (identity_id, version, hash, key_id) values (${identityId}::uuid, ${version}::int, ${hash}::bytea, ${sealed.keyId}::text)`.execute(
    trx,
  )
}

/** Every value of an identity that is not shredded, still sealed, by its version. */
export async function readCredentials(trx: Transaction, identityId: IdentityId): Promise<ReadonlyMap<number, Sealed>> {
  const { rows } = await sql<Sealed & { version: number }>`
    select version, encryption_version as "encryptionVersion", key_id as "keyId", ciphertext from credential_version
    where identity_id = ${identityId}::uuid and ciphertext is not null`.execute(trx)
  return new Map(rows.map(({ version, ...sealed }) => [version, sealed]))
}

/** One stored value, still sealed; undefined when it was never stored or is shredded. */
export async function readCredential(trx: Transaction, identityId: IdentityId, version: number): Promise<Sealed | undefined> {
  const { rows } = await sql<Sealed>`
    select encryption_version as "encryptionVersion", key_id as "keyId", ciphertext from credential_version
    where identity_id = ${identityId}::uuid and version = ${version}::int and ciphertext is not null`.execute(trx)
  return rows[0]
}

/**
 * Drops the ciphertexts that nothing names any more: not the present version, no host, no open rotation, no active lease.
 * What was exposed and must die stays until it is dead on every host.
 */
export async function shredUnused(trx: Transaction, identityId: IdentityId): Promise<void> {
  await sql`
    update credential_version c set ciphertext = null where c.identity_id = ${identityId}::uuid and c.ciphertext is not null
      and c.version < (select i.current_version from identity i where i.id = c.identity_id)
      and not exists (select from identity_host h where h.identity_id = c.identity_id and h.known_version = c.version)
      and not exists (select from rotation r where r.identity_id = c.identity_id and r.state = 'pending' and r.staged_version = c.version)
      and not exists (select from lease l where l.identity_id = c.identity_id and l.state = 'active' and l.credential_version = c.version)`.execute(trx)
}

import { sql } from 'kysely'
import type { IdentityId, RotationId } from '#schemas/ids.ts'
import type { Sealed } from '#schemas/sealed.ts'
import type { Transaction } from './connection.ts'

const keptOldHashes = 10

/** A credential as it is stored. */
export interface StoredValue {
  /** Sealed for its identity and version. */
  readonly sealed: Sealed
  /** Keyed hash for the history, 32 bytes. */
  readonly hash: Uint8Array
  /** Key version of the hash, where that is not the one of `sealed`: a value from before vault keys names none. */
  readonly hashKeyId?: string
  /** Public half of an SSH key, as OpenSSH writes it. */
  readonly publicKey?: string
  /** Versions of the identity that had the very same value; absent: none. */
  readonly sameAs?: readonly number[]
}

/**
 * Stores one version of a credential with its history hash. Versions are never overwritten.
 *
 * @param value.hash the newest and 10 old ones are kept; made with the key of the vault that the identity is in
 * @param rotationId the rotation that made it; null: a person stored it
 */
export async function storeVersion(
  trx: Transaction,
  identityId: IdentityId,
  value: StoredValue & { readonly version: number },
  rotationId: RotationId | null,
): Promise<void> {
  const { version, sealed, hash, hashKeyId = sealed.keyId, publicKey = null } = value
  await sql`
    with stored as (
      insert into credential_version (identity_id, version, encryption_version, key_id, ciphertext, rotation_id, public_key)
      values (${identityId}::uuid, ${version}::int, ${sealed.encryptionVersion}::int, ${sealed.keyId}::text, ${sealed.ciphertext}::bytea, ${rotationId}::uuid,
        ${publicKey}::text)
    ),
    trimmed as (
      delete from password_history where identity_id = ${identityId}::uuid and version not in (
        select version from password_history where identity_id = ${identityId}::uuid order by version desc limit ${keptOldHashes}::int)
    )
    insert into password_history (identity_id, version, hash, key_id, vault_id)
    select i.id, ${version}::int, ${hash}::bytea, ${hashKeyId}::text, i.vault_id from identity i where i.id = ${identityId}::uuid`.execute(trx)
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
